import numpy as np
import pytest
from scipy import ndimage

from pipeline.quality.speckle import STATISTICS, speckle

SNR, AXIAL, LATERAL = range(3)
HALF_WIDTH = 2 * np.sqrt(np.log(2))
"""Of the autocorrelation of white noise smoothed by a Gaussian, in its standard deviations."""


def disc(size, radius):
    rows, columns = np.indices((size, size))
    return np.hypot(rows - size / 2, columns - size / 2) < radius


def smoothed(axial, lateral, size=192, seed=0):
    """uint8 Gaussian texture of known grain, mean 128 and standard deviation 32."""
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=(size, size)), (axial, lateral))
    return np.clip(128 + 32 * noise / noise.std(), 0, 255).round().astype(np.uint8)


def rayleigh(size, seed=0):
    return np.clip(np.random.default_rng(seed).rayleigh(45, (size, size)), 0, 255).astype(np.uint8)


@pytest.mark.parametrize(("size", "radius"), [(64, 25), (128, 50), (256, 100)])
def test_fully_developed_speckle_has_its_snr(size, radius):
    found = np.mean([speckle(rayleigh(size, seed), disc(size, radius)) for seed in range(8)], axis=0)
    assert found[SNR] == pytest.approx(1.91, abs=0.05)
    assert found[[AXIAL, LATERAL]] == pytest.approx([0.5, 0.5], abs=0.03)


@pytest.mark.parametrize(("axial", "lateral"), [(1, 1), (1, 2), (2, 1), (1, 3)])
def test_known_grains_have_their_half_widths(axial, lateral):
    found = speckle(smoothed(axial, lateral), disc(192, 85))
    assert found[[AXIAL, LATERAL]] == pytest.approx([HALF_WIDTH * axial, HALF_WIDTH * lateral], rel=0.1)


def test_half_widths_are_known_in_a_small_head():
    found = np.mean([speckle(smoothed(0.8, 1.2, 64, seed), disc(64, 25)) for seed in range(8)], axis=0)
    assert found[[AXIAL, LATERAL]] == pytest.approx([HALF_WIDTH * 0.8, HALF_WIDTH * 1.2], rel=0.2)


@pytest.mark.parametrize(("size", "radius"), [(64, 25), (192, 85)])
def test_a_wider_beam_lengthens_the_lateral_grain_only(size, radius):
    found = np.array([speckle(smoothed(0.8, lateral, size), disc(size, radius)) for lateral in (0.8, 1.2, 1.8)])
    assert np.all(np.diff(found[:, LATERAL]) > 0.2)
    assert np.ptp(found[:, AXIAL]) < 0.25


def test_blur_raises_the_snr_and_the_lengths():
    image, region = rayleigh(128), disc(128, 50)
    found = np.array([speckle(ndimage.gaussian_filter(image, sigma), region) for sigma in (0, 0.5, 1, 2)])
    assert np.all(np.diff(found, axis=0) > 0)


@pytest.mark.parametrize("gain", [0.4, 0.7, 1.3])
def test_lengths_and_snr_do_not_depend_on_the_gain(gain):
    image, region = np.minimum(rayleigh(128), 180), disc(128, 50)
    np.testing.assert_allclose(speckle((gain * image).round().astype(np.uint8), region), speckle(image, region), 0.03)


def test_a_slow_change_of_level_does_not_lengthen_the_grain():
    image, region = smoothed(1, 2) // 2, disc(192, 85)
    shaded = np.clip(image + np.linspace(0, 120, 192)[:, None], 0, 255).astype(np.uint8)
    np.testing.assert_allclose(speckle(shaded, region)[1:], speckle(image, region)[1:], rtol=0.05)


def test_a_turn_swaps_the_lengths():
    image, region = smoothed(1, 2), disc(192, 85)
    snr, axial, lateral = speckle(image, region)
    np.testing.assert_allclose(speckle(image.T, region.T), [snr, lateral, axial], rtol=1e-6)


def test_what_lies_outside_and_the_skull_do_not_count(ring):
    image, region = smoothed(1, 1, 96), disc(96, 40)
    skull = region & ~disc(96, 37)
    changed = np.where(skull, 255, np.where(region, image, 0)).astype(np.uint8)
    np.testing.assert_array_equal(speckle(changed, region), speckle(image, region))
    case = ring(0)
    np.testing.assert_array_equal(speckle(case.image, case.mask > 0), speckle(case.image, case.mask > 0))


def test_a_head_that_fills_the_image_is_measured():
    assert np.isfinite(speckle(smoothed(1, 1, 64), np.ones((64, 64), bool))).all()


@pytest.mark.parametrize("region", [np.zeros((64, 64), bool), disc(64, 4)])
def test_no_head_or_a_tiny_one_has_no_speckle(region):
    found = speckle(rayleigh(64), region)
    assert found.shape == (len(STATISTICS),) and found.dtype == np.float64
    assert np.isnan(found).all()


def test_a_flat_head_has_no_speckle():
    assert np.isnan(speckle(np.full((64, 64), 90, np.uint8), disc(64, 25))).all()


@pytest.mark.parametrize("size", [64, 128, 256])
def test_speckle_of_phantoms_is_measured_at_every_size(size):
    from pipeline.imaging.letterbox import letterbox
    from pipeline.simulation import simulate_case

    found = []
    for index in range(3):
        case = simulate_case("phantom_a", index, seed=11)
        image, box = letterbox(case.image, size)
        found.append(speckle(box.crop(image), box.crop(letterbox(case.mask, size, mask=True)[0]) > 0))
    snr, axial, lateral = np.transpose(found)
    assert np.all((snr > 1) & (snr < 10))
    assert np.all(lateral > axial) and np.all(axial > 0.4)
