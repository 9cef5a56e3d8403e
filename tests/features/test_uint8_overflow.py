"""The published overflow, held against NumPy's own 8-bit arithmetic."""

import numpy as np
import pytest

from pipeline.features.uint8_overflow import overflowed_image, overflowed_levels


def by_numpy(pixels, width):
    """The three lines of ``getBinEdges`` on 8-bit scalars, as NumPy 2 runs them."""
    with np.errstate(over="ignore"):
        low = min(pixels) - (min(pixels) % width)
        edges = np.arange(low, max(pixels) + 2 * width, width)
    if len(edges) == 1:
        edges = [edges[0] - 0.5, edges[0] + 0.5]
    return np.digitize(pixels, edges)


def region_of(low, high, seed=0):
    rng = np.random.default_rng(seed)
    image = rng.integers(low, high + 1, (12, 10)).astype(np.uint8)
    image[2, 3], image[4, 4] = low, high
    region = np.ones(image.shape, dtype=bool)
    region[:, 0] = False
    return image, region


@pytest.mark.parametrize("width", [5, 25, 32])
def test_levels_are_those_of_numpys_own_overflow(width):
    # A first edge beyond 255 - width wraps around as well; no head is that bright everywhere.
    for low in range(0, 256 - 2 * width, 7):
        for high in range(low, 256, 3):
            image, region = region_of(low, high)
            found, known = overflowed_levels(image, region, width)[region], by_numpy(image[region], width)
            np.testing.assert_array_equal(found, np.maximum(known, 1), err_msg=f"{low} to {high}")


@pytest.mark.parametrize(("high", "levels"), [(205, 9), (206, 1), (207, 2), (231, 2), (232, 2), (243, 2), (255, 2)])
def test_a_bright_region_collapses_to_one_or_two_levels(high, levels):
    """243 is the largest grey level of the first case of HC18, for which the published notebook prints the warning."""
    image, region = region_of(0, high)
    image[5, 1:] = np.arange(0, 200, 23)
    found = overflowed_levels(image, region)
    assert len(np.unique(found[region])) == levels and not found[~region].any()


def test_right_bins_of_the_image_are_the_levels():
    for high in (180, 206, 243):
        image, region = region_of(3, high)
        levels = overflowed_levels(image, region)
        np.testing.assert_array_equal(overflowed_image(image, region)[region] // 25 + 1, levels[region])


def test_it_is_of_8_bits_alone():
    with pytest.raises(ValueError, match="the image is float64"):
        overflowed_levels(np.zeros((3, 3)), np.ones((3, 3), dtype=bool))
