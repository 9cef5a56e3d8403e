import numpy as np
import pytest

from pipeline.arms.pool import training_pool
from pipeline.config.arms import Arm
from pipeline.config.augmentation import Warp
from pipeline.data.stacking import stack_images, stack_masks
from pipeline.run.errors import InputError

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
    assert got.real == len(got) == 5
    images, masks = got.stacked()
    np.testing.assert_array_equal(images, stack_images(labels, 32))
    np.testing.assert_array_equal(masks, stack_masks(labels, 32))


def test_ratio_counts_extra_cases_per_real_one(labels, synthetic):
    got = pool({"extra": "synthetic", "ratio": 1.6}, labels, synthetic)
    assert len(got) == 5 + 8 and got.real == 5 and got.derived == 0
    images, masks = got.stacked()
    np.testing.assert_array_equal(images[5:], stack_images(synthetic[:8], 32))
    np.testing.assert_array_equal(masks[5:], stack_masks(synthetic[:8], 32))


@pytest.mark.parametrize(
    "arm",
    [
        {"extra": "none", "ratio": 0},
        {"extra": "synthetic", "ratio": 2},
        {"extra": "synthetic", "ratio": 2, "shuffled": True},
        {"extra": "synthetic", "ratio": 4, "curated": True},
        {"extra": "warped", "ratio": 2},
    ],
)
def test_examples_are_what_is_stacked_with_their_own_masks(labels, synthetic, arm):
    got = pool(arm, labels, synthetic)
    images, masks = got.stacked()
    examples = list(got.examples())
    assert len(examples) == len(got) == len(got.mask_of) == len(images) == len(masks)
    assert images.shape[1:] == (1, 32, 32) and images.dtype == np.float32
    assert masks.shape[1:] == (32, 32) and masks.dtype == np.uint8
    for i, (_, image, _) in enumerate(examples):
        np.testing.assert_array_equal(image, images[i])
        np.testing.assert_array_equal(examples[got.mask_of[i]][2], masks[i])
    own = 5 if arm.get("shuffled") else len(got)
    assert got.mask_of[:own].tolist() == list(range(own))


def test_pixels_are_made_when_they_are_asked_for(labels, synthetic):
    class Watched(list):
        asked = 0

        def __getitem__(self, i):
            self.asked += 1
            return super().__getitem__(i)

    samples = Watched(synthetic)
    got = pool({"extra": "synthetic", "ratio": 2}, labels, samples)
    examples = got.examples()
    assert samples.asked == 0
    ids = [next(examples)[0] for _ in range(7)]
    assert samples.asked == 2 and ids == [case.id for case in (*labels, *synthetic[:2])]


def test_shuffled_masks_are_the_same_masks_on_other_images(labels, synthetic):
    (images, masks), (same, shuffled) = (
        pool({"extra": "synthetic", "ratio": 2, "shuffled": shuffled}, labels, synthetic).stacked()
        for shuffled in (False, True)
    )
    np.testing.assert_array_equal(images, same)
    np.testing.assert_array_equal(masks[:5], shuffled[:5])
    assert sorted(m.tobytes() for m in masks[5:]) == sorted(m.tobytes() for m in shuffled[5:])
    assert all((a != b).any() for a, b in zip(masks[5:], shuffled[5:], strict=True))


def test_warped_pairs_change_shape_together(labels):
    got = pool({"extra": "warped", "ratio": 2}, labels)
    assert len(got) == 15 and got.derived == 10
    copies, real = list(got.derived_examples()), stack_masks(labels, 32)
    assert [case_id for case_id, _, _ in copies] == [f"warped-{i}" for i in range(10)]
    for i, (_, image, mask) in enumerate(copies):
        assert (mask != real[i % 5]).any()
        ring_level = image[0][(mask > 0) & ~_eroded(mask)].mean()
        assert ring_level > image[0][_eroded(mask, 4)].mean() + 0.5, "the bright ring must move with its mask"


def test_warped_copies_are_black_outside_the_frame_and_the_same_every_time(labels):
    got = pool({"extra": "warped", "ratio": 2}, labels)
    # 48 x 64 pixels in a square: four rows of padding above and below.
    for _, image, mask in got.derived_examples():
        assert (image[0, :4] == -1).all() and (image[0, -4:] == -1).all() and not mask[:4].any()
        assert image.min() >= -1 and image.max() <= 1
    for first, again in zip(got.derived_examples(), got.derived_examples(), strict=True):
        np.testing.assert_array_equal(first[1], again[1])
        np.testing.assert_array_equal(first[2], again[2])
    images = [image for _, image, _ in got.derived_examples()]
    assert (images[0] != images[5]).any(), "two copies of one case differ"


def test_what_comes_in_from_beyond_the_image_is_black(ring):
    white = [ring(i, height=64, image=np.full((64, 64), 255, np.uint8)) for i in range(5)]
    lowest = [image.min() for _, image, _ in pool({"extra": "warped", "ratio": 2}, white).derived_examples()]
    assert np.median(lowest) == -1


def _eroded(mask, times=2):
    from scipy.ndimage import binary_erosion

    return binary_erosion(mask > 0, iterations=times)


def test_too_few_samples_name_the_arm_and_the_remedy(labels, synthetic):
    with pytest.raises(
        InputError, match=r"arm 'arm': ratio 4 of 5 labels asks for 20 .* there are 12; raise sample.count"
    ):
        pool({"extra": "synthetic", "ratio": 4}, labels, synthetic)


def test_a_ratio_of_less_than_one_case_is_refused(labels, synthetic):
    with pytest.raises(InputError, match=r"arm 'arm': ratio 0.05 of 5 labels is not one case; raise the ratio"):
        pool({"extra": "synthetic", "ratio": 0.05}, labels, synthetic)


def test_a_curated_set_is_used_again_when_short(labels, synthetic):
    got = pool({"extra": "synthetic", "ratio": 4, "curated": True}, labels, synthetic)
    images, masks = got.stacked()
    assert len(images) == 25
    np.testing.assert_array_equal(images[5], images[5 + 12])
    np.testing.assert_array_equal(masks[5], masks[5 + 12])
    ids = [case_id for case_id, _, _ in got.examples()]
    assert ids[5] == ids[5 + 12] == synthetic[0].id


def test_a_mix_keeps_a_share_of_the_real_cases(labels, synthetic):
    got = pool({"extra": "synthetic", "ratio": 0.6, "real": 0.4}, labels, synthetic)
    assert (got.real, len(got)) == (2, 5)
    assert [case_id for case_id, _, _ in got.examples()] == [case.id for case in (*labels[:2], *synthetic[:3])]


def test_synthetic_alone(labels, synthetic):
    got = pool({"extra": "synthetic", "ratio": 2, "real": 0}, labels, synthetic)
    assert (got.real, len(got)) == (0, 10)
    np.testing.assert_array_equal(got.stacked()[0], stack_images(synthetic[:10], 32))


def test_repeated_labels_are_the_labels_again(labels):
    got = pool({"extra": "repeated", "ratio": 1.4}, labels)
    images, masks = got.stacked()
    assert len(got) == 12 and got.derived == 0
    np.testing.assert_array_equal(images[5:], stack_images([*labels, *labels[:2]], 32))
    np.testing.assert_array_equal(masks[5:], stack_masks([*labels, *labels[:2]], 32))


@pytest.mark.parametrize("kind", ["copy_paste", "rendered"])
def test_what_is_derived_uses_every_label_though_few_are_trained_on(labels, kind):
    got = pool({"extra": kind, "ratio": 1, "real": 0.2}, labels)
    assert (got.real, got.derived, len(got)) == (1, 5, 6)
    assert [case_id for case_id, _, _ in got.examples()] == [labels[0].id, *(f"{kind}-{i}" for i in range(5))]


def test_a_share_of_less_than_one_case_is_refused(labels, synthetic):
    with pytest.raises(InputError, match=r"arm 'arm': real 0.05 of 5 labels is not one case; raise it, or say 0"):
        pool({"extra": "synthetic", "ratio": 1, "real": 0.05}, labels, synthetic)


@pytest.mark.parametrize(
    ("arm", "words"),
    [
        ({"extra": "none", "ratio": 0, "real": 0.5}, "real below 1"),
        ({"extra": "warped", "ratio": 1, "generous": True}, "generous belongs"),
        ({"extra": "synthetic", "ratio": 1, "generous": True}, "generous belongs"),
        ({"extra": "synthetic", "ratio": 1, "real": 0, "pretrain": 0.5}, "with real 0 there are none"),
        ({"extra": "copy_paste", "ratio": 0}, "ratio above 0"),
    ],
)
def test_arms_that_contradict_themselves(arm, words):
    with pytest.raises(ValueError, match=words):
        Arm(**arm)
