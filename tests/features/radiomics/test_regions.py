"""Mask, ring, sector and image."""

import numpy as np
import pytest
from scipy import ndimage

from pipeline.config.binning import FixedBinWidth
from pipeline.features.radiomics import FEATURES, radiomics
from pipeline.features.radiomics.regions import REGIONS, RING_WIDTH, region, region_features, region_radiomics, ring
from pipeline.run.errors import InputError

BINNING = FixedBinWidth(width=8)


def disc(radius, shape=(160, 200), centre=(80, 100)):
    rows, columns = np.indices(shape)
    return np.hypot(rows - centre[0], columns - centre[1]) < radius


def speckled(shape=(160, 200)):
    """A bright sector on black."""
    rng = np.random.default_rng(0)
    noise = ndimage.gaussian_filter(rng.normal(size=shape), 1)
    return (disc(75) * np.clip(90 + 60 * noise / noise.std(), 20, 255)).astype(np.uint8)


@pytest.mark.parametrize("radius", [20, 40, 70])
def test_the_ring_follows_the_outline_and_grows_with_the_head(radius):
    mask = disc(radius)
    found, distance = ring(mask), np.hypot(*(np.indices(mask.shape) - np.array([80, 100])[:, None, None]))
    half = RING_WIDTH / 2 * radius
    assert found[np.abs(distance - radius) < half - 0.8].all()
    assert not found[np.abs(distance - radius) > half + 0.8].any()
    assert found.sum() == pytest.approx(2 * np.pi * radius * RING_WIDTH * radius, rel=0.1)


def test_the_border_of_the_image_is_no_outline():
    cut = disc(60, centre=(80, 0))
    found = ring(cut)
    assert found[80, 60] and not found[60:100, :40].any()
    assert not ring(np.ones((30, 40), bool)).any() and not ring(np.zeros((30, 40), bool)).any()
    lonely = np.zeros((30, 40), bool)
    lonely[10, 20] = True
    assert ring(lonely).sum() == 9


def test_the_sector_is_told_from_the_image_and_not_from_the_mask():
    image = speckled()
    found = region(image, None, "sector")
    np.testing.assert_array_equal(found, region(image, disc(20), "sector"))
    assert (found & disc(75)).sum() > 0.97 * disc(75).sum() and not found[~disc(79)].any()


def test_features_of_regions_stand_side_by_side():
    image, mask = speckled(), disc(40)
    names, values = region_features(), region_radiomics(image, mask, BINNING)
    assert len(names) == len(values) == len(REGIONS) * len(FEATURES) == len(set(names))
    assert names[0] == "mask.first_order.mean" and "ring.glcm.joint_entropy" in names
    parts = dict(zip(REGIONS, np.split(values, len(REGIONS)), strict=True))
    np.testing.assert_array_equal(parts["mask"], radiomics(image, mask, BINNING))
    np.testing.assert_array_equal(parts["image"], radiomics(image, np.ones(image.shape, bool), BINNING))
    assert len({tuple(part) for part in parts.values()}) == 4


def test_without_a_mask_the_head_and_its_ring_have_no_features():
    values = region_radiomics(speckled(), None, BINNING)
    absent, known = np.split(values, 2)
    assert np.isnan(absent).all() and np.isfinite(known).all()
    np.testing.assert_array_equal(values, region_radiomics(speckled(), np.zeros((160, 200), bool), BINNING))


def test_fewer_regions_and_an_unknown_one():
    image, mask = speckled(), disc(40)
    chosen = ("ring", "sector")
    assert len(region_features(chosen)) == len(region_radiomics(image, mask, BINNING, chosen)) == 2 * len(FEATURES)
    with pytest.raises(InputError, match="region 'skull'"):
        region_radiomics(image, mask, BINNING, ["skull"])
