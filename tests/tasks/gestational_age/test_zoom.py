"""The zoom test on estimators that read size, or nothing of it, by construction."""

import numpy as np
import pytest

from pipeline.run.errors import InputError
from pipeline.tasks.gestational_age.zoom import SCALES, rescaled, zoom_slope
from tests.tasks.gestational_age.made import intergrowth21_days

PIXEL_MM = 0.5


def disc(radius, shape=(240, 300), centre=None, level=200):
    rows, columns = np.mgrid[: shape[0], : shape[1]] + 0.5
    y, x = (shape[0] / 2, shape[1] / 2) if centre is None else centre
    return np.where(np.hypot(rows - y, columns - x) <= radius, level, 0).astype(np.uint8)


def circumference_mm(image):
    """Of the disc with as many bright pixels."""
    return 2 * np.sqrt(np.pi * (image / 200.0).sum()) * PIXEL_MM


def reader_of_size(image):
    return intergrowth21_days(circumference_mm(image))


def derivative(hc_mm):
    """d(days) / d(log HC), from the formula."""
    return intergrowth21_days(hc_mm) * (2 * 0.05970 * np.log(hc_mm) + 3 * 6.409e-9 * hc_mm**3)


@pytest.mark.parametrize("radius", [40, 60, 80])
@pytest.mark.parametrize(("scales", "near"), [((0.97, 1 / 0.97), 0.01), (SCALES, 0.02)])
def test_a_reader_of_size_moves_by_the_derivative_of_the_formula(radius, scales, near):
    image = disc(radius)
    slope, ages = zoom_slope(reader_of_size, image, scales)
    assert slope == pytest.approx(derivative(circumference_mm(image)), rel=near)
    assert len(ages) == len(scales) and (np.diff(ages) > 0).all()


@pytest.mark.parametrize("reader", [lambda image: 170.0, lambda image: 1700 * PIXEL_MM, lambda image: image.shape[1]])
def test_a_reader_of_a_constant_or_of_the_pixel_size_stays(reader):
    assert zoom_slope(reader, disc(60))[0] == 0.0


def test_a_reader_of_brightness_hardly_moves():
    """Grey levels within the object stay what they are."""
    assert abs(zoom_slope(lambda image: float(image[image > 100].mean()), disc(60))[0]) < 5


@pytest.mark.parametrize("scale", [0.51, 0.8, 0.9, 1.1, 1.5, 1.99])
@pytest.mark.parametrize("shape", [(240, 300), (239, 301), (160, 97)])
def test_content_grows_by_the_scale_about_the_centre_and_the_canvas_stays(scale, shape):
    radius = 24
    image = disc(radius, shape)
    found = rescaled(image, scale)
    assert found.shape == shape and found.dtype == np.uint8
    assert np.sqrt((found / 200.0).sum() / np.pi) == pytest.approx(scale * radius, rel=0.01)
    rows, columns = np.mgrid[: shape[0], : shape[1]] + 0.5
    weights = found / found.sum()
    assert (weights * rows).sum() == pytest.approx(shape[0] / 2, abs=0.1)
    assert (weights * columns).sum() == pytest.approx(shape[1] / 2, abs=0.1)


def test_the_border_is_black_and_no_scale_changes_nothing():
    image = np.random.default_rng(0).integers(50, 255, (60, 80)).astype(np.uint8)
    np.testing.assert_array_equal(rescaled(image, 1.0), image)
    small = rescaled(image, 0.6)
    assert not small[:11].any() and not small[:, :15].any() and small[14:46, 18:62].all()
    off = disc(10, centre=(30, 40))
    moved = rescaled(off, 0.5001)
    rows, columns = np.nonzero(moved > 100)
    assert rows.mean() + 0.5 == pytest.approx(120 - 45, abs=0.5)
    assert columns.mean() + 0.5 == pytest.approx(150 - 55, abs=0.5)


def test_an_age_that_cannot_be_had_is_left_out():
    reader = lambda image: reader_of_size(image) if image.sum() < disc(60).sum() * 1.1 else np.nan  # noqa: E731
    slope, ages = zoom_slope(reader, disc(60))
    assert slope == pytest.approx(zoom_slope(reader_of_size, disc(60), SCALES[:3])[0]) and np.isnan(ages[-1])
    assert np.isnan(zoom_slope(lambda image: np.nan, disc(60))[0])


@pytest.mark.parametrize(
    ("scales", "told"),
    [
        ((1.0,), "a slope takes at least two"),
        ((1.1, 1.1), "at least two different"),
        ((0.5, 1), "a scale of 0.5 is not"),
        ((1, 2.0), "a scale of 2.0 is not between 0.5 and 2"),
    ],
)
def test_scales_that_say_nothing_are_refused(scales, told):
    with pytest.raises(InputError, match=told):
        zoom_slope(reader_of_size, disc(40), scales)
