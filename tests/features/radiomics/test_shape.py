"""Shapes whose measures are known."""

import numpy as np
import pytest
from scipy import ndimage

from pipeline.features.radiomics import shape


def named(region):
    return dict(zip(shape.NAMES, shape.features(region), strict=True))


def ellipse(a, b, angle=0.0, size=401):
    """Semi-axes in pixels; the angle of the first one from the x axis, in radians."""
    y, x = np.indices((size, size)) - size // 2 + 0.1
    u, v = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    return (u / a) ** 2 + (v / b) ** 2 < 1


def test_one_pixel():
    found = named(np.ones((1, 1), bool))
    # The mesh is a diamond through the middles of the four neighbours' edges.
    expected = {"pixel_area": 1, "mesh_area": 0.5, "perimeter": 2 * np.sqrt(2), "maximum_diameter": 1, "elongation": 1}
    expected |= {
        "minimum_diameter": np.sqrt(0.5),
        "area_density_convex_hull": 1,
        "perimeter_to_area_ratio": 4 * np.sqrt(2),
    }
    assert {name: found[name] for name in expected} == pytest.approx(expected)
    assert np.isfinite(list(found.values())).all()


def test_a_rectangle():
    height, width = 3, 8
    found = named(np.ones((height, width), bool))
    assert found["pixel_area"] == 24
    # Four corners are cut, each by a triangle of legs of half a pixel.
    assert found["mesh_area"] == pytest.approx(24 - 4 / 8)
    assert found["perimeter"] == pytest.approx(2 * (7 + 2) + 4 * np.sqrt(0.5))
    assert found["area_density_convex_hull"] == pytest.approx(1)
    assert found["minimum_diameter"] == pytest.approx(3)
    assert found["maximum_diameter"] == pytest.approx(np.hypot(8, 2))
    assert found["major_axis_length"] == pytest.approx(4 * 8 / np.sqrt(12))
    assert found["minor_axis_length"] == pytest.approx(4 * 3 / np.sqrt(12))
    assert found["elongation"] == pytest.approx(3 / 8)


def test_a_disc_is_round():
    found = named(ellipse(100, 100))
    assert found["mesh_area"] == pytest.approx(np.pi * 100**2, rel=2e-3)
    assert found["maximum_diameter"] == pytest.approx(200, abs=1) == found["major_axis_length"]
    assert found["minimum_diameter"] == pytest.approx(200, abs=1)
    assert found["elongation"] == pytest.approx(1, abs=1e-3) == found["area_density_ellipse"]
    assert found["roundness"] == pytest.approx(1, abs=0.01)
    assert found["area_density_convex_hull"] == pytest.approx(1, abs=0.01)
    # Steps of 0, 45 and 90 degrees: 8 (√2 − 1) / π of the circle's, in the limit.
    assert found["perimeter"] == pytest.approx(2 * np.pi * 100 * 8 * (np.sqrt(2) - 1) / np.pi, rel=5e-3)
    assert found["sphericity"] == pytest.approx(0.948, abs=5e-3)


@pytest.mark.parametrize("angle", [0, 0.4, 1.0, np.pi / 2])
def test_an_ellipse_has_its_axes_at_any_angle(angle):
    found = named(ellipse(120, 60, angle))
    assert found["major_axis_length"] == pytest.approx(240, rel=5e-3) == found["maximum_diameter"]
    assert found["minor_axis_length"] == pytest.approx(120, rel=5e-3)
    assert found["minimum_diameter"] == pytest.approx(120, rel=0.01)
    assert found["elongation"] == pytest.approx(0.5, abs=3e-3)
    assert found["area_density_ellipse"] == pytest.approx(1, abs=3e-3)


def test_a_hole_and_a_dent_cost_area_and_add_perimeter():
    disc = ellipse(80, 80, size=201)
    hole, dent = disc & ~ellipse(30, 30, size=201), disc & ~np.roll(ellipse(30, 30, size=201), 70, axis=1)
    whole = named(disc)
    for changed in (named(hole), named(dent)):
        assert changed["mesh_area"] < whole["mesh_area"] and changed["perimeter"] > whole["perimeter"]
        assert changed["sphericity"] < whole["sphericity"]
        assert changed["area_density_convex_hull"] < 0.95
    assert named(hole)["perimeter"] - whole["perimeter"] == pytest.approx(named(ellipse(30, 30, size=201))["perimeter"])


def test_perimeter_and_area_are_those_of_marching_squares():
    from skimage.measure import find_contours

    rough = ndimage.gaussian_filter(np.random.default_rng(0).normal(size=(40, 50)), 1.5) > 0
    contours = find_contours(np.pad(rough, 1).astype(float), 0.5, fully_connected="low")
    length = sum(np.hypot(*np.diff(line, axis=0).T).sum() for line in contours)
    y, x = (np.concatenate([line[:-1, axis] for line in contours]) for axis in (0, 1))
    next_y, next_x = (np.concatenate([line[1:, axis] for line in contours]) for axis in (0, 1))
    found = named(rough)
    assert found["perimeter"] == pytest.approx(length)
    assert found["mesh_area"] == pytest.approx(abs((x * next_y - next_x * y).sum()) / 2)


@pytest.mark.parametrize("seed", range(6))
def test_diameters_are_those_of_all_vertices(seed):
    from scipy.spatial.distance import pdist
    from skimage.measure import find_contours

    region = np.random.default_rng(seed).random((6, 9)) < 0.2 + 0.1 * seed
    region[0, 0] = True
    points = np.concatenate(find_contours(np.pad(region, 1).astype(float), 0.5, fully_connected="low"))
    found = named(region)
    assert found["maximum_diameter"] == pytest.approx(pdist(points).max())
    angles = np.linspace(0, np.pi, 3601)
    widths = np.ptp(points @ np.stack([np.cos(angles), np.sin(angles)]), axis=0)
    assert found["minimum_diameter"] == pytest.approx(widths.min(), abs=1e-2)
