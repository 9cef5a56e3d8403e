import numpy as np
import pytest

from pipeline.comparison.arms import training_pool
from pipeline.core.errors import InputError
from pipeline.core.geometry import stack_images, stack_masks
from pipeline.core.params import Arm, Warp

WARP = Warp(rotate_deg=8, scale=0.1, aspect=0.1, shift=0.03, elastic=0.005)


@pytest.fixture
def labels(ring):
    return [ring(i) for i in range(5)]


@pytest.fixture
def synthetic(ring):
    return [ring(100 + i, id=f"synthetic-{i}") for i in range(12)]


def pool(arm, labels, synthetic=()):
    return training_pool("arm", Arm(**arm), labels, synthetic, 32, WARP, seed=0)


def test_real_only_is_the_labels(labels):
    got = pool({"extra": "none", "ratio": 0}, labels)
    assert got.real == len(got.images) == 5
    np.testing.assert_array_equal(got.masks, stack_masks(labels, 32))


def test_ratio_counts_extra_cases_per_real_one(labels, synthetic):
    got = pool({"extra": "synthetic", "ratio": 1.6}, labels, synthetic)
    assert len(got.images) == 5 + 8 and got.real == 5
    np.testing.assert_array_equal(got.images[5:], stack_images(synthetic[:8], 32))


def test_shuffled_masks_are_the_same_masks_on_other_images(labels, synthetic):
    straight = pool({"extra": "synthetic", "ratio": 2}, labels, synthetic)
    shuffled = pool({"extra": "synthetic", "ratio": 2, "shuffled": True}, labels, synthetic)
    np.testing.assert_array_equal(straight.images, shuffled.images)
    assert sorted(m.tobytes() for m in straight.masks[5:]) == sorted(m.tobytes() for m in shuffled.masks[5:])
    assert all((a != b).any() for a, b in zip(straight.masks[5:], shuffled.masks[5:], strict=True))


def test_warped_pairs_change_shape_together(labels):
    got = pool({"extra": "warped", "ratio": 2}, labels)
    assert len(got.images) == 15
    real = stack_masks(labels, 32)
    for i in range(10):
        image, mask = got.images[5 + i, 0], got.masks[5 + i]
        assert (mask != real[i % 5]).any()
        ring_level = image[(mask > 0) & ~_eroded(mask)].mean()
        assert ring_level > image[_eroded(mask, 4)].mean() + 0.5, "the bright ring must move with its mask"


def _eroded(mask, times=2):
    from scipy.ndimage import binary_erosion

    return binary_erosion(mask > 0, iterations=times)


def test_too_few_samples_name_the_arm_and_the_remedy(labels, synthetic):
    with pytest.raises(
        InputError, match=r"arm 'arm': ratio 4 of 5 labels asks for 20 .* there are 12; raise sample.count"
    ):
        pool({"extra": "synthetic", "ratio": 4}, labels, synthetic)


def test_a_curated_set_is_used_again_when_short(labels, synthetic):
    got = pool({"extra": "synthetic", "ratio": 4, "curated": True}, labels, synthetic)
    assert len(got.images) == 25
    np.testing.assert_array_equal(got.images[5], got.images[5 + 12])
