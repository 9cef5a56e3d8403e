import csv
import math

import numpy as np
import pytest
from scipy.special import ellipe

from pipeline.imaging.ellipse import ellipse_perimeter
from pipeline.imaging.moments import largest_component
from pipeline.tasks.segmentation.biometry.circumference import head_circumference_px


def ellipse(shape, centre, a, b, degrees=0.0):
    """Filled ellipse with semi-axis ``a`` along x before it is turned."""
    y, x = np.mgrid[: shape[0], : shape[1]] - np.array(centre)[:, None, None]
    turn = math.radians(degrees)
    along, across = x * math.cos(turn) + y * math.sin(turn), y * math.cos(turn) - x * math.sin(turn)
    return (along / a) ** 2 + (across / b) ** 2 <= 1


def exact_perimeter(a, b):
    return 4 * a * ellipe(1 - (b / a) ** 2)


@pytest.mark.parametrize(("a", "b"), [(1, 1), (3, 2), (10, 4)])
def test_perimeter_formula(a, b):
    assert ellipse_perimeter(a, b) == pytest.approx(exact_perimeter(a, b), rel=1e-5)


@pytest.mark.parametrize("radius", [5, 20, 100])
def test_disc(radius):
    mask = ellipse((220, 220), (110, 109.5), radius, radius)
    assert head_circumference_px(mask) == pytest.approx(2 * math.pi * radius, rel=0.1 / radius)


@pytest.mark.parametrize("degrees", [0, 17, 45, 90, 133])
def test_rotated_ellipse(degrees):
    mask = ellipse((300, 340), (150.3, 170.7), 120, 90, degrees)
    assert head_circumference_px(mask) == pytest.approx(exact_perimeter(120, 90), rel=1e-3)


def test_grows_with_the_mask():
    mask = ellipse((60, 80), (30, 40), 30, 20)
    doubled = mask.repeat(2, axis=0).repeat(2, axis=1)
    assert head_circumference_px(doubled) == pytest.approx(2 * head_circumference_px(mask), rel=1e-12)


def test_specks_do_not_count():
    mask = ellipse((100, 100), (50, 50), 30, 25)
    speckled = mask.copy()
    speckled[2:5, 2:5] = speckled[95, 1] = True
    assert head_circumference_px(speckled) == head_circumference_px(mask)


def test_position_and_padding_do_not_count():
    mask = ellipse((100, 120), (50, 60), 40, 30, 20)
    padded = np.pad(mask, ((7, 3), (0, 11)))
    assert head_circumference_px(padded) == pytest.approx(head_circumference_px(mask), rel=1e-12)


def test_ragged_outline_barely_counts():
    mask = ellipse((300, 340), (150, 170), 120, 90)
    ring = ellipse((300, 340), (150, 170), 121, 91) & ~ellipse((300, 340), (150, 170), 119, 89)
    ragged = mask ^ (ring & (np.random.default_rng(0).random(mask.shape) < 0.5))
    assert head_circumference_px(ragged) == pytest.approx(head_circumference_px(mask), rel=0.005)


def test_empty_and_single_pixel():
    mask = np.zeros((9, 9), dtype=bool)
    assert head_circumference_px(mask) == 0
    mask[4, 4] = True
    # A pixel is a square of edge 1: variance 1/12, semi-axis 2 / sqrt(12).
    assert head_circumference_px(mask) == pytest.approx(2 * math.pi * 2 / math.sqrt(12))


def test_largest_component_is_the_first_among_equals():
    mask = np.array([[1, 1, 0, 1, 1]], dtype=bool)
    assert largest_component(mask).tolist() == [[True, True, False, False, False]]


def test_published_circumferences(shared_data):
    """HC18: filled outlines give the circumference its sonographers published."""
    from PIL import Image
    from scipy import ndimage

    table = next(shared_data.rglob("training_set_pixel_size_and_HC.csv"))
    with table.open() as file:
        rows = list(csv.reader(file))[1:]
    errors = []
    for name, pixel_mm, published in rows:
        path = table.parent / "training_set" / name.replace(".png", "_Annotation.png")
        if path.exists() and len(errors) < 25:
            outline = np.asarray(Image.open(path).convert("L")) > 127
            measured = head_circumference_px(ndimage.binary_fill_holes(outline)) * float(pixel_mm)
            errors.append(measured / float(published) - 1)
    assert np.abs(errors).max() < 0.02
    assert abs(np.mean(errors)) < 0.01
