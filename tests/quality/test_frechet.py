import numpy as np
import pytest
from scipy.linalg import sqrtm
from scipy.stats import ortho_group

from pipeline.quality.frechet import frechet_distance
from pipeline.run.errors import InputError


def sample(count, features, seed=0):
    """float (count, features) with correlated columns of different means and scales."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=(count, features)) @ rng.normal(size=(features, features)) + rng.normal(size=features)


def closed_form(mean_1, covariance_1, mean_2, covariance_2):
    root = sqrtm(covariance_1 @ covariance_2).real
    return np.sum((mean_1 - mean_2) ** 2) + np.trace(covariance_1 + covariance_2 - 2 * root)


@pytest.mark.parametrize(("n", "m"), [(60, 90), (200, 30), (12, 300)])
def test_it_is_the_closed_form_of_two_gaussians(n, m):
    a, b = sample(n, 10), sample(m, 10, seed=1)
    expected = closed_form(a.mean(0), np.cov(a, rowvar=False), b.mean(0), np.cov(b, rowvar=False))
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("features", [5, 16, 40])
def test_it_agrees_with_torch_fidelity(features):
    import torch
    from torch_fidelity.metric_fid import KEY_METRIC_FID, fid_features_to_statistics, fid_statistics_to_metric

    a, b = sample(80, features), sample(110, features, seed=1)
    statistics = [fid_features_to_statistics(torch.from_numpy(x)) for x in (a, b)]
    expected = fid_statistics_to_metric(*statistics, verbose=False)[KEY_METRIC_FID]
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-6)


def test_large_samples_approach_the_distance_of_their_gaussians():
    rng = np.random.default_rng(0)
    means, scales = np.array([[0.0, 0, 0], [1, -2, 0.5]]), np.array([[1.0, 2, 0.5], [2, 1, 0.5]])
    a, b = (rng.normal(mean, scale, (40_000, 3)) for mean, scale in zip(means, scales, strict=True))
    expected = np.sum((means[0] - means[1]) ** 2) + np.sum((scales[0] - scales[1]) ** 2)
    assert frechet_distance(a, b) == pytest.approx(expected, rel=0.02)


@pytest.mark.parametrize("count", [4, 50])
def test_a_sample_is_at_no_distance_from_itself(count):
    a = sample(count, 20)
    assert frechet_distance(a, a) == pytest.approx(0, abs=1e-9 * np.var(a, axis=0).sum())


def test_a_shift_costs_its_square():
    a = sample(30, 8)
    shift = np.linspace(-1, 2, 8)
    assert frechet_distance(a + shift, a) == pytest.approx(shift @ shift, rel=1e-9)


def test_it_is_symmetric_and_does_not_change_under_rotation():
    a, b = sample(25, 30), sample(70, 30, seed=1)
    turn = ortho_group.rvs(30, random_state=0)
    assert frechet_distance(b, a) == pytest.approx(frechet_distance(a, b), rel=1e-10)
    assert frechet_distance(a @ turn, b @ turn) == pytest.approx(frechet_distance(a, b), rel=1e-10)


def test_the_order_of_the_rows_does_not_count():
    a, b = sample(25, 6), sample(40, 6, seed=1)
    assert frechet_distance(a[::-1], b) == pytest.approx(frechet_distance(a, b), rel=1e-12)


@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        (np.zeros((1, 3)), np.zeros((4, 3)), "at least 2 images a side"),
        (np.zeros((4, 3)), np.full((4, 3), np.nan), "the reference hold nan"),
    ],
)
def test_unusable_samples_are_refused(a, b, message):
    with pytest.raises(InputError, match=message):
        frechet_distance(a, b)
