import numpy as np
import pytest
import torch
from torch_fidelity.metric_prc import KEY_METRIC_PRECISION, prc_features_to_metric

from pipeline.quality.density import ball_radii, density_coverage, inside_balls


def measured(candidates, reference, neighbours):
    return density_coverage(inside_balls(candidates, reference, neighbours), neighbours)


def normal(count, features=8, seed=0):
    return np.random.default_rng(seed).normal(size=(count, features))


def precision(candidates, reference, neighbours):
    tensors = map(torch.from_numpy, (candidates, reference))
    return prc_features_to_metric(*tensors, prc_neighborhood=neighbours, verbose=False)[KEY_METRIC_PRECISION]


def test_points_on_a_line_have_their_values_by_hand():
    """Balls of radius 1, 1 and 3 around 0, 1 and 4; 0.4 and 0.5 lie in the first two, 2 in the last, 9 in none."""
    reference, candidates = np.array([[0.0], [1], [4]]), np.array([[0.4], [0.5], [2], [9]])
    np.testing.assert_allclose(ball_radii(reference, 1), [1, 1, 3])
    assert measured(candidates, reference, 1) == pytest.approx((5 / 4, 1))
    assert measured(candidates[:2], reference, 1) == pytest.approx((2, 2 / 3))
    assert measured(candidates[3:], reference, 1) == (0, 0)


def test_a_ball_is_open():
    assert inside_balls(np.array([[0.5], [1]]), np.array([[0.0], [1]]), 1).tolist() == [[True, True], [False, True]]


@pytest.mark.parametrize("neighbours", [1, 3, 5])
def test_a_set_covers_itself_at_density_one(neighbours):
    same = normal(300)
    assert measured(same, same, neighbours) == pytest.approx((1, 1))


@pytest.mark.parametrize(("n", "m", "k"), [(60, 60, 3), (60, 60, 1), (30, 90, 5), (120, 40, 2)])
def test_equal_distributions_have_the_expected_coverage_and_density(n, m, k):
    """The paper's equations for two samples of any continuous distribution."""
    found = [measured(normal(n, seed=2 * s), normal(m, seed=2 * s + 1), k) for s in range(150)]
    density, coverage = np.mean(found, axis=0)
    order = np.arange(1, k + 1)
    assert coverage == pytest.approx(1 - np.prod((m - order) / (n + m - order)), abs=0.01)
    assert density == pytest.approx(1, abs=0.08)


def test_a_missing_mode_lowers_coverage_but_not_density():
    centres = np.array([[0.0] * 8, [20.0] * 8, [-20.0] * 8])
    reference = np.concatenate([normal(60, seed=i) + centre for i, centre in enumerate(centres)])
    values = []
    for modes in (3, 2, 1):
        kept = [normal(180 // modes, seed=9 + i) + centre for i, centre in enumerate(centres[:modes])]
        values.append(measured(np.concatenate(kept), reference, 3))
    density, coverage = np.transpose(values)
    assert coverage[0] > 0.8 and list(coverage) == sorted(coverage, reverse=True)
    assert coverage[2] < 0.4
    assert density == pytest.approx(1, abs=0.2)


def test_an_outlier_of_the_reference_inflates_precision_but_not_density():
    """Its ball reaches back to the others and holds what lies between: one of the k balls that a density of 1 needs."""
    reference, off = normal(200), normal(200, seed=2) + 3
    outlier = np.concatenate([reference, np.full((1, 8), 6.0)])
    assert precision(off, reference, 3) < 0.05
    assert precision(off, outlier, 3) > 0.95
    assert measured(off, outlier, 3) == pytest.approx((1 / 3, 1 / 201), abs=0.03)


def test_candidates_of_another_distribution_lower_both():
    values = np.array([measured(normal(200, seed=1) + shift, normal(200), 3) for shift in (0, 0.7, 1.4, 3)])
    assert np.all(np.diff(values, axis=0) < 0)


def test_order_scale_and_block_limits_do_not_count():
    a, b = normal(300, seed=1), normal(520)
    value = measured(a, b, 3)
    assert measured(8 * a[::-1], 8 * b[::-1], 3) == pytest.approx(value)
    distances = np.linalg.norm(a[:, None] - b, axis=2)
    radii = np.sort(np.linalg.norm(b[:, None] - b, axis=2), axis=1)[:, 3]
    assert value == pytest.approx(((distances < radii).sum() / 900, (distances < radii).any(axis=0).mean()))
