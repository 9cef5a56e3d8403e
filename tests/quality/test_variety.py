import numpy as np
import pytest

from pipeline.quality.variety import within_mask_diversity, within_mask_ms_ssim

GROUPS = np.repeat(np.arange(6), 4)


def features(within, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(6, 8))[GROUPS] + within * rng.normal(size=(24, 8))


def test_one_image_a_mask_has_no_diversity():
    assert within_mask_diversity(features(0), GROUPS) == 0


def test_diversity_grows_with_the_spread_within_a_mask_towards_one():
    values = [within_mask_diversity(features(within), GROUPS) for within in (0.1, 0.3, 1, 3, 100)]
    assert values == sorted(values)
    assert values[-1] == pytest.approx(1, abs=0.15)


def test_diversity_does_not_depend_on_order_or_scale():
    order = np.random.default_rng(1).permutation(24)
    value = within_mask_diversity(features(0.5), GROUPS)
    assert within_mask_diversity(7 * features(0.5)[order], GROUPS[order]) == pytest.approx(value)


def test_ms_ssim_needs_192_pixels():
    assert within_mask_ms_ssim([np.zeros((191, 256), np.uint8)] * 2, [0, 0]) is None


def test_ms_ssim_is_one_for_equal_images_and_falls_with_noise():
    rng = np.random.default_rng(0)
    image = rng.integers(0, 255, (192, 192)).astype(np.float64)
    values = []
    for level in (0, 60, 120):
        noisy = np.clip(image + rng.normal(0, level, image.shape), 0, 255)
        values.append(within_mask_ms_ssim([image.astype(np.uint8), noisy.astype(np.uint8)], [0, 0]))
    assert values[0] == pytest.approx(1, abs=1e-5)
    assert values == sorted(values, reverse=True) and values[-1] < 0.9
