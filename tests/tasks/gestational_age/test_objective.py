"""Training on the one loop: losses in closed form, interruptions, files, and what is learnt."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from pipeline.learning.recipe import Recipe
from pipeline.run.errors import InputError
from pipeline.run.resume import Scratch
from pipeline.tasks.gestational_age.fusion import Architecture
from pipeline.tasks.gestational_age.objective import (
    AgeRegression,
    estimate,
    fit_age_network,
    gaussian_loss,
    huber_loss,
    load_age_network,
    save_age_network,
)
from tests.interrupted import Killed, equal, kill_at
from tests.tasks.gestational_age.made import NAMES, made
from tests.tasks.gestational_age.test_fusion import shape_of

CPU = torch.device("cpu")
RECIPE = Recipe(150, 16, 1e-2, warmup_steps=5, checkpoint_every=8)
SHORT = replace(RECIPE, steps=12)


def fitted(
    variant="fusion", recipe=SHORT, cases=None, seed=0, scratch=None, on_step=lambda step, loss: None, **options
):
    inputs, days = cases or made(40)
    shape = shape_of(variant, **options)
    return fit_age_network(shape, inputs, days, recipe, seed=seed, device=CPU, scratch=scratch, on_step=on_step)


def test_losses_are_those_of_the_papers():
    mean, target = torch.tensor([0.0, 0.5]), torch.tensor([2.0, 0.0])
    assert huber_loss(mean, target).item() == pytest.approx(((2 - 0.5) + 0.5 * 0.25) / 2)
    log_variance = torch.tensor([1.0, -1.0], requires_grad=True)
    plain = torch.nn.GaussianNLLLoss(eps=1e-12)(mean, target, log_variance.exp())
    torch.testing.assert_close(gaussian_loss(mean, log_variance, target, 0.0), plain)
    weights = log_variance.exp().detach() ** 0.5
    each = 0.5 * ((target - mean) ** 2 / log_variance.exp() + log_variance)
    torch.testing.assert_close(gaussian_loss(mean, log_variance, target, 0.5), (weights * each).mean())


def test_with_a_beta_of_1_the_mean_is_taught_as_by_a_squared_error():
    mean, target = torch.zeros(3, requires_grad=True), torch.tensor([1.0, 2.0, -3.0])
    gaussian_loss(mean, torch.tensor([2.0, -2.0, 0.5]), target, 1.0).backward()
    torch.testing.assert_close(mean.grad, -target / 3)


@pytest.mark.parametrize("heteroscedastic", [False, True])
def test_interrupted_and_resumed_equals_uninterrupted(tmp_path, heteroscedastic):
    options = {"recipe": replace(SHORT, ema_decay=0.9), "heteroscedastic": heteroscedastic, "dropout": 0.3}
    whole = fitted(**options)
    scratch = Scratch(tmp_path, "age", [])
    with pytest.raises(Killed):
        fitted(**options, scratch=scratch, on_step=kill_at(10))
    assert equal(whole.state_dict(), fitted(**options, scratch=scratch).state_dict())


def test_a_training_is_a_function_of_its_seed():
    torch.manual_seed(7)
    first = fitted()
    torch.manual_seed(8)
    assert equal(first.state_dict(), fitted().state_dict())
    assert not equal(first.state_dict(), fitted(seed=1).state_dict())


def test_a_batch_is_shared_by_processes():
    inputs, days = made(20)
    objective = AgeRegression(fitted(cases=(inputs, days)), inputs, days)
    whole, *parts = (
        objective.batch(0, 6, torch.Generator().manual_seed(3), share)
        for share in (slice(None), slice(0, None, 2), slice(1, None, 2))
    )
    for place, values in enumerate(whole):
        assert torch.equal(values[0::2], parts[0][place]) and torch.equal(values[1::2], parts[1][place])


def test_fusion_beats_its_parts_where_both_know_something():
    """30 days per sd are in the radiomics, 10 in the tokens, 1 is noise."""
    train, (held, days) = made(300), made(150, seed=1)
    errors = {}
    for variant in ("fusion", "concatenation", "radiomics", "deep", "single_key"):
        network = fitted(variant, replace(RECIPE, batch=32), train)
        errors[variant] = np.abs(estimate(network, held).days - days).mean()
    spread = np.abs(days - np.median(train[1])).mean()
    assert errors["fusion"] < 0.8 * errors["radiomics"] and errors["concatenation"] < 0.8 * errors["radiomics"]
    assert errors["radiomics"] < 0.5 * spread
    assert min(errors["deep"], errors["single_key"]) > 0.8 * spread


def test_a_predicted_spread_follows_the_noise():
    inputs, days = made(400)
    noisy = inputs.radiomics[:, 4] > 80
    days = days + np.where(noisy, 40, 2) * np.random.default_rng(0).normal(size=400)
    network = fitted("radiomics", replace(RECIPE, batch=32), (inputs, days), heteroscedastic=True)
    sd = estimate(network, inputs).sd
    assert np.median(sd[noisy]) > 1.5 * np.median(sd[~noisy]) and (sd > 0).all()


def test_an_estimate_is_of_the_case_alone_and_in_days():
    inputs, days = made(40)
    network = fitted(cases=(inputs, days), heteroscedastic=True)
    found = estimate(network, inputs)
    again = estimate(network, inputs.rows([7, 3]))
    np.testing.assert_array_equal(found.days[[7, 3]], again.days)
    np.testing.assert_array_equal(found.sd[[7, 3]], again.sd)
    assert 100 < found.days.mean() < 240


def test_statistics_are_of_the_training_cases_alone():
    """The weights are a function of the training cases: nothing of any other case comes in, or is stored."""
    train, (held, _) = made(40), made(30, seed=1)
    network = fitted(cases=train)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    estimate(network, held)
    assert equal(before, network.state_dict())
    np.testing.assert_allclose(network.radiomic.mean, train[0].radiomics.mean(axis=0), rtol=1e-5)
    assert float(network.age_mean) == pytest.approx(train[1].mean(), rel=1e-6)


@pytest.mark.parametrize("variant", ["fusion", "deep", "radiomics"])
def test_files_give_the_network_back_and_repeat(tmp_path, variant):
    inputs, _ = made(40)
    network = fitted(variant, heteroscedastic=True)
    for name in "ab":
        save_age_network(tmp_path / name, network, {"cases": list(inputs.ids)})
    for file in ("age_network.safetensors", "age_network.json"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()
    found, about = load_age_network(tmp_path / "a")
    assert about["trained_on"] == {"cases": list(inputs.ids)} and found.shape == network.shape
    np.testing.assert_array_equal(estimate(found, inputs).days, estimate(network, inputs).days)


def test_bad_input_is_named(tmp_path):
    inputs, days = made(10)
    with pytest.raises(InputError, match="trained on cases whose age is known"):
        fitted(cases=(inputs, np.where(days > 170, np.nan, days)))
    with pytest.raises(InputError, match=r"deep features of shape None; the network reads 4 tokens of 6 channels"):
        fitted(cases=(replace(inputs, tokens=None), days))
    with pytest.raises(InputError, match=r"feature 'head\.glcm\.contrast' is not among"):
        estimate(fitted(), replace(inputs, names=("other.one", *NAMES[1:])))
    with pytest.raises(InputError, match=r"age_network\.json: no such file"):
        load_age_network(tmp_path)
    save_age_network(tmp_path, fitted(), {})
    text = (tmp_path / "age_network.json").read_text()
    (tmp_path / "age_network.json").write_text(text.replace('"width"', '"breadth"'))
    with pytest.raises(InputError, match="is of another version; fit again"):
        load_age_network(tmp_path)
    (tmp_path / "age_network.json").write_text(text.replace('"width": 8', '"width": 16'))
    with pytest.raises(InputError, match="weights of another architecture"):
        load_age_network(tmp_path)


def test_a_case_with_nothing_known_has_an_estimate():
    inputs, days = made(40)
    holes = inputs.radiomics.copy()
    holes[:5] = np.nan
    network = fitted("radiomics", cases=(replace(inputs, radiomics=holes), days))
    assert np.isfinite(estimate(network, replace(inputs, radiomics=np.full_like(holes, np.nan))).days).all()


def test_one_age_alone_is_learnt():
    inputs, days = made(10)
    shape = Architecture("radiomics", NAMES, width=8, heads=2, hidden=8)
    network = fit_age_network(shape, inputs, np.full_like(days, 150.0), SHORT, seed=0, device=CPU)
    assert np.abs(estimate(network, inputs).days - 150).max() < 3
