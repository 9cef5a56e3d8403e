"""The single-key argument, and what each variant reads."""

from typing import get_args

import numpy as np
import pytest
import torch

from pipeline.run.errors import InputError
from pipeline.tasks.gestational_age.fusion import LOG_VARIANCE_LIMIT, AgeNetwork, Architecture, CrossAttention, Variant
from pipeline.tasks.gestational_age.objective import take_statistics, tensors
from pipeline.tasks.gestational_age.standardisation import Standardisation
from tests.tasks.gestational_age.made import NAMES, made

TOKENS, CHANNELS = 4, 6


def shape_of(variant, **options):
    names = () if variant == "deep" else NAMES
    tokens, channels = (0, 0) if variant == "radiomics" else (TOKENS, CHANNELS)
    return Architecture(variant, names, tokens, channels, width=8, heads=2, hidden=16, **options)


def ready(variant, count=12, **options):
    """A network with random weights and the statistics of cases, and these as tensors that ask for a gradient."""
    torch.manual_seed(0)
    network, (inputs, days) = AgeNetwork(shape_of(variant, **options)).eval(), made(count)
    take_statistics(network, inputs, days)
    given = [None if values is None else values.float().requires_grad_() for values in tensors(network.shape, inputs)]
    return network, given


def gradients(network, given):
    """Largest gradient of the output by radiomics and by tokens; None for what the network goes without."""
    network(*given)[0].sum().backward()
    return [None if values is None else float(values.grad.abs().max()) for values in given]


def test_over_one_key_the_radiomics_cannot_matter():
    network, given = ready("single_key")
    radiomics, tokens = gradients(network, given)
    assert radiomics == 0.0 and tokens > 0
    others = torch.randn_like(given[0]) * 100 + 500
    assert torch.equal(network(*given)[0], network(others, given[1])[0])
    assert (network.attention(*given) == 1).all()


def test_over_several_keys_or_with_a_residual_they_do():
    network, given = ready("fusion")
    assert all(size > 0 for size in gradients(network, given))
    weights = network.attention(*given)
    assert weights.shape == (12, 3, TOKENS) and torch.allclose(weights.sum(dim=2), torch.ones(12, 3), atol=1e-6)
    assert weights.std(dim=2).min() > 0


@pytest.mark.parametrize(("tokens", "residual", "matters"), [(1, False, False), (1, True, True), (4, False, True)])
def test_it_is_the_number_of_keys_and_the_residual(tokens, residual, matters):
    torch.manual_seed(0)
    cross = CrossAttention(shape_of("fusion"), tokens, residual).eval()
    asked = torch.randn(3, 2, len(NAMES), requires_grad=True)
    fused, _ = cross(asked, torch.randn(3, tokens, CHANNELS))
    fused.square().sum().backward()
    assert bool(asked.grad.abs().max() > 0) == matters
    assert matters or (asked.grad == 0).all()


@pytest.mark.parametrize("training", [False, True])
def test_the_argument_holds_under_dropout_too(training):
    network, given = ready("single_key", dropout=0.5)
    assert gradients(network.train(training), given)[0] == 0.0


@pytest.mark.parametrize("variant", get_args(Variant))
def test_each_variant_reads_what_it_says(variant):
    network, given = ready(variant)
    found = gradients(network, given)
    assert [value is not None for value in found] == [network.shape.reads_radiomics, network.shape.reads_tokens]
    wanted = {"single_key": [0]}.get(variant, [])
    assert [number for number, value in enumerate(found) if value == 0.0] == wanted


def test_queries_are_of_feature_classes():
    """What changes in one class changes the weights of that class alone."""
    network, (radiomics, tokens) = ready("fusion")
    changed = radiomics.detach().clone()
    changed[:, :2] += 3
    moved = (network.attention(changed, tokens) - network.attention(radiomics, tokens)).abs().amax(dim=(0, 2))
    assert moved[0] > 0 and (moved[1:] == 0).all()


def test_a_network_standardises_as_the_classical_estimators_do():
    network, _ = ready("radiomics")
    inputs, _ = made(12)
    values = inputs.radiomics.copy()
    values[0, 1], values[3] = np.nan, 1e8
    fitted = Standardisation.fit(values)
    network.radiomic.take(fitted)
    found = network.radiomic(torch.from_numpy(values.astype(np.float32))).numpy()
    wanted = fitted.apply(values)
    np.testing.assert_allclose(found[:, 0], wanted[:, : len(NAMES)], atol=1e-4)
    np.testing.assert_array_equal(found[:, 1][:, fitted.gaps], wanted[:, len(NAMES) :])
    assert not found[:, 1][:, ~fitted.gaps].any()


def test_units_and_missing_values_do_not_matter_beyond_the_statistics():
    """Features in other units give the same output: means and sds are the network's own."""
    inputs, days = made(12)
    factors = np.array([1e-3, 1e3, 7, 0.1, 1e6])
    outputs = []
    for values in (inputs.radiomics, inputs.radiomics * factors):
        torch.manual_seed(0)
        network = AgeNetwork(shape_of("fusion")).eval()
        scaled = inputs.__class__(**(vars(inputs) | {"radiomics": values}))
        take_statistics(network, scaled, days)
        radiomics, tokens = tensors(network.shape, scaled)
        outputs.append(network(radiomics, tokens.float())[0])
        holes = torch.where(torch.rand(radiomics.shape) < 0.3, torch.nan, radiomics)
        assert network(holes, tokens.float())[0].isfinite().all()
    torch.testing.assert_close(*outputs, atol=1e-4, rtol=1e-4)


def test_a_log_variance_is_bounded():
    network, given = ready("fusion", heteroscedastic=True)
    with torch.no_grad():
        network.head[-1].bias[1] = 1e6
    mean, log_variance = network(*given)
    assert mean.shape == log_variance.shape == (12,) and (log_variance == LOG_VARIANCE_LIMIT).all()
    assert ready("fusion")[0](*given)[1] is None


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"variant": "late"}, "no variant 'late'; choose one of fusion, single_key"),
        ({"variant": "deep", "names": NAMES, "tokens": 4, "channels": 6}, "'deep' and 5 radiomics features"),
        ({"variant": "fusion", "names": NAMES}, "0 deep tokens of 0 channels do not fit together; extract deep"),
        ({"variant": "fusion", "tokens": 4, "channels": 6}, "'fusion' and 0 radiomics features"),
        ({"variant": "radiomics", "names": NAMES, "width": 30}, "a width of 30 is no multiple of 4 heads"),
    ],
)
def test_what_does_not_fit_is_refused(options, told):
    with pytest.raises(InputError, match=told):
        Architecture(**options)
