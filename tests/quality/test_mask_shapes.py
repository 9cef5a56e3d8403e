import math

import numpy as np
import pytest
from scipy.stats import wasserstein_distance

from pipeline.quality.distributions import axial_distance, distance, mean_and_std
from pipeline.quality.mask_shapes import DESCRIPTORS, ROUND, compare_shapes, shape_descriptors

AREA, ASPECT, ANGLE, ROW, COLUMN = range(5)


def ellipse(centre=(60, 80), a=40.0, b=24.0, degrees=0.0, shape=(120, 160)):
    """uint8 filled ellipse whose semi-axis ``a`` points ``degrees`` counter-clockwise from the horizontal."""
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    y, x = centre[0] - rows, columns - centre[1]
    turn = math.radians(degrees)
    along, across = x * math.cos(turn) + y * math.sin(turn), y * math.cos(turn) - x * math.sin(turn)
    return ((along / a) ** 2 + (across / b) ** 2 <= 1).astype(np.uint8)


def heads(count, seed=0, shift=0, size=(120, 160)):
    """float (N, 1, 5) of random ellipses, moved ``shift`` columns to the right."""
    rng = np.random.default_rng(seed)
    return np.stack(
        [
            shape_descriptors(
                ellipse(
                    (rng.integers(55, 65), rng.integers(70, 85) + shift),
                    rng.uniform(35, 42),
                    rng.uniform(24, 30),
                    rng.normal(0, 15),
                    size,
                ),
                1,
            )
            for _ in range(count)
        ]
    )


@pytest.mark.parametrize("degrees", [0, 20, 45, 90, 133, 179])
def test_a_known_ellipse_is_described(degrees):
    area, aspect, angle, row, column = shape_descriptors(ellipse(degrees=degrees), 1)[0]
    assert area == pytest.approx(math.pi * 40 * 24 / (120 * 160), rel=5e-3)
    assert aspect == pytest.approx(0.6, rel=5e-3)
    assert (angle - degrees + 90) % 180 - 90 == pytest.approx(0, abs=0.3)
    assert (row, column) == (pytest.approx(60.5 / 120), pytest.approx(80.5 / 160))


def test_structures_are_described_each_on_its_own():
    mask = ellipse((60, 60), 30, 20)
    mask[100:110, 10:50] = 2
    first, second = shape_descriptors(mask, 2)
    np.testing.assert_allclose(first, shape_descriptors((mask == 1).astype(np.uint8), 1)[0])
    assert second == pytest.approx([400 / 19200, 10 / 40, 0, 105 / 120, 30 / 160])


def test_an_absent_structure_is_nan_and_counted():
    values = np.stack([shape_descriptors(ellipse(), 2), shape_descriptors(ellipse() * 2, 2)])
    assert np.isnan(values[0, 1]).all() and np.isnan(values[1, 0]).all()
    found = compare_shapes({"synthetic": values}, values, ["parent"] * 2, ["symphysis", "head"])
    for descriptor in DESCRIPTORS:
        one = found["head"][descriptor]["synthetic"]
        assert (one["n"], one["undefined"]) == (1, 1)


def test_a_structure_no_mask_holds_gives_no_number():
    values = np.full((3, 1, 5), np.nan)
    area = compare_shapes({"synthetic": values}, heads(4), ["user"] * 3, ["head"])["head"]["area"]
    assert area["synthetic"] == {"distance": None, "mean": None, "std": None, "n": 0, "undefined": 3}


def test_a_round_head_has_no_angle_but_the_rest():
    values = shape_descriptors(ellipse(a=30, b=0.98 * 30), 1)[0]
    assert values[ASPECT] > ROUND
    assert np.isnan(values[ANGLE]) and np.isfinite(values[[AREA, ASPECT, ROW, COLUMN]]).all()


def test_equal_samples_are_at_distance_zero():
    values = heads(20)
    found = compare_shapes({"synthetic": values}, values, ["parent"] * 20, ["head"])["head"]
    assert [found[name]["synthetic"]["distance"] for name in DESCRIPTORS] == pytest.approx([0] * 5)


def test_shifted_masks_are_at_their_shift_in_standard_deviations():
    real, moved = heads(20), heads(20, shift=8)
    found = compare_shapes({"synthetic": moved}, real, ["parent"] * 20, ["head"])["head"]
    assert found["column"]["synthetic"]["distance"] == pytest.approx(8 / 160 / real[:, 0, COLUMN].std())
    for name in ("area", "aspect", "angle", "row"):
        assert found[name]["synthetic"]["distance"] == pytest.approx(0, abs=1e-9)


def test_another_distribution_is_further_than_a_second_sample():
    real, again, elsewhere = heads(60), heads(60, seed=1), heads(60, seed=2, shift=10)
    found = compare_shapes({"synthetic": elsewhere, "unseen": again}, real, ["parent"] * 60, ["head"])["head"]
    assert found["column"]["unseen"]["distance"] < 0.5 < 1 < found["column"]["synthetic"]["distance"]


def test_too_narrow_a_sample_is_at_a_distance_though_its_mean_is_right():
    rng = np.random.default_rng(0)
    real = rng.normal(0.5, 0.1, 400)
    assert distance(np.full(400, real.mean()), real) == pytest.approx(math.sqrt(2 / math.pi), rel=0.05)


@pytest.mark.parametrize(("a", "b", "degrees"), [(179, 1, 2), (1, 179, 2), (0, 90, 90), (10, 40, 30), (170, 30, 40)])
def test_axes_are_compared_the_short_way_round(a, b, degrees):
    assert axial_distance(np.array([a]), np.array([b])) == pytest.approx(degrees)


def test_axial_distance_does_not_depend_on_where_the_circle_is_cut():
    rng = np.random.default_rng(0)
    a, b = rng.normal(60, 10, 41), rng.normal(80, 14, 30)
    expected = wasserstein_distance(a, b)
    for turn in (0, 50, 100, 115, 163):
        assert axial_distance(a + turn, b + turn) == pytest.approx(expected)


def test_axial_distance_is_the_best_assignment():
    from scipy.optimize import linear_sum_assignment

    rng = np.random.default_rng(1)
    for _ in range(5):
        a, b = rng.uniform(0, 180, 12), rng.uniform(0, 180, 12)
        turns = np.abs((a[:, None] - b + 90) % 180 - 90)
        assert axial_distance(a, b) == pytest.approx(turns[linear_sum_assignment(turns)].mean())


def test_mean_axis_lies_between_and_wraps():
    assert mean_and_std(np.array([178.0, 4.0]), axial=True) == (pytest.approx(1), pytest.approx(3))
    assert mean_and_std(np.array([178.0, 4.0])) == (91, 87)


def test_a_reference_that_does_not_vary_gives_no_distance():
    assert distance(np.array([0.2, 0.3]), np.array([0.4, 0.4])) is None


def test_sources_are_compared_apart():
    real, moved = heads(10), heads(10, shift=8)
    both = np.concatenate([real, moved])
    column = compare_shapes({"synthetic": both}, real, ["shape_model"] * 10 + ["parent"] * 10, ["head"])["head"][
        "column"
    ]
    assert list(column["sources"]) == ["parent", "shape_model"]
    assert column["sources"]["shape_model"]["distance"] == pytest.approx(0)
    assert column["sources"]["parent"]["distance"] == pytest.approx(2 * column["synthetic"]["distance"])
    assert column["sources"]["parent"]["n"] == 10
