from functools import partial

import numpy as np
import pytest
from scipy.ndimage import binary_erosion

from pipeline.arms.copy_paste import exchange
from pipeline.arms.derived import KINDS, derived_cases
from pipeline.config.augmentation import Warp
from pipeline.config.sample import MaskShares
from pipeline.data.case import Case
from pipeline.data.stacking import stack_images, stack_masks
from pipeline.diffusion.masks import MaskSource
from pipeline.diffusion.pair_limits import breaks_pair, keeps_pair
from pipeline.imaging.letterbox import letterbox
from pipeline.imaging.moments import area_moments
from pipeline.tasks.segmentation.pair import Pair
from tests.tasks.scenes import random_scene

STILL = Warp(rotate_deg=0, scale=0, aspect=0, shift=0, elastic=0)
WARP = Warp(rotate_deg=8, scale=0.1, aspect=0.1, shift=0.03, elastic=0.005)
SIZE = 64


def ellipse(row, column, a, b, turn=0.0):
    y, x = np.mgrid[:SIZE, :SIZE].astype(float)
    u = np.cos(turn) * (y - row) + np.sin(turn) * (x - column)
    v = -np.sin(turn) * (y - row) + np.cos(turn) * (x - column)
    return ((u / a) ** 2 + (v / b) ** 2 <= 1).astype(np.uint8)


def flat(mask, inside, outside):
    return np.where(mask > 0, inside, outside)[None].astype(np.float32)


def overlap(a, b):
    return 2 * (a & b).sum() / (a.sum() + b.sum())


def derived(kind, labels, count, size, params, seed, pair=None):
    return derived_cases(kind, labels, count, size, params, seed, partial(keeps_pair, pair))


@pytest.fixture
def labels(ring):
    return [ring(i) for i in range(5)]


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_a_function_of_labels_seed_and_number(kind, labels):
    few, more, other = (list(derived(kind, labels, n, 32, WARP, seed)) for n, seed in ((4, 1), (9, 1), (4, 2)))
    for case, same in zip(few, more, strict=False):
        assert case.id == same.id
        np.testing.assert_array_equal(case.image, same.image)
        np.testing.assert_array_equal(case.mask, same.mask)
    assert any((a.image != b.image).any() for a, b in zip(few, other, strict=True))
    for i, case in enumerate(more):
        assert case.id == f"{kind}-{i:06d}" and case.parent == labels[i % 5].id
        # 48 x 64 pixels in a square of 32, without the padding.
        assert case.image.shape == case.mask.shape == (24, 32) and set(np.unique(case.mask)) == {0, 1}


def test_one_patient_is_enough(labels):
    assert len(list(derived("copy_paste", labels[:1], 3, 32, WARP, 0))) == 3


def test_masks_are_the_labels_own_where_nothing_is_bent(labels):
    for own, label in zip(derived("warped", labels, 5, 32, STILL, 0), labels, strict=True):
        np.testing.assert_array_equal(stack_masks([own], 32), stack_masks([label], 32))
        assert np.abs(stack_images([own], 32) - stack_images([label], 32)).max() <= 1 / 127


def test_warped_pairs_change_shape_together(labels):
    real = stack_masks(labels, 32)
    for i, case in enumerate(derived("warped", labels, 10, 32, WARP, 0)):
        assert (stack_masks([case], 32)[0] != real[i % 5]).any()
        inside, core = (binary_erosion(case.mask > 0, iterations=n) for n in (2, 4))
        rim = case.image[(case.mask > 0) & ~inside].mean()
        assert rim > case.image[core].mean() + 60, "the bright ring must move with its mask"


def test_what_comes_in_from_beyond_the_image_is_black(ring):
    white = [ring(i, height=64, image=np.full((64, 64), 255, np.uint8)) for i in range(5)]
    assert np.median([case.image.min() for case in derived("warped", white, 10, 32, WARP, 0)]) == 0


def test_a_structure_takes_the_place_of_the_other_one():
    source, target = ellipse(20, 20, 8, 12), ellipse(40, 34, 14, 10, 0.4)
    image, mask = exchange((flat(source, 0.8, -0.2), source), (flat(target, 0.3, -0.6), target))
    assert overlap(mask > 0, target > 0) > 0.97
    core = ellipse(40, 34, 10, 6, 0.4) > 0
    assert image[0][core].mean() == pytest.approx(0.8, abs=0.02), "grey of the source inside"
    assert image[0, :8].mean() == pytest.approx(-0.6, abs=0.01), "the target's background stays"


def test_an_exchange_with_itself_changes_nothing_inside():
    own = ellipse(30, 30, 10, 14, 0.3)
    image = np.random.default_rng(0).uniform(-1, 1, (1, SIZE, SIZE)).astype(np.float32)
    got, mask = exchange((image, own), (image, own))
    np.testing.assert_array_equal(mask, own)
    np.testing.assert_allclose(got, image, atol=1e-5)


def test_structures_keep_their_kinds_when_exchanged():
    source = ellipse(30, 26, 12, 10)
    source[ellipse(30, 46, 5, 5) > 0] = 2
    target = np.rot90(source).copy()
    _, mask = exchange((flat(source, 0.5, -0.5), source), (flat(target, 0.5, -0.5), target))
    assert {1, 2} <= set(np.unique(mask))
    np.testing.assert_allclose(area_moments(mask > 0)[0], area_moments(target > 0)[0], atol=1.5)


def test_of_a_symphysis_and_a_head_the_control_is_held_to_what_sampled_masks_are():
    """This warp breaks one pair in three, as it pushes them out of the frame and together."""
    size, pair, strong = 64, Pair(1, 2), Warp(rotate_deg=35, scale=0.4, aspect=0.4, shift=0.15, elastic=0.03)
    rng = np.random.default_rng(0)
    masks = [letterbox(random_scene(rng).class_map(), size, mask=True)[0] for _ in range(6)]
    labels = [
        Case(f"c{i}", "scenes", f"p{i}", mask * 60 + 30, mask, mask_source="annotated") for i, mask in enumerate(masks)
    ]
    everywhere = np.ones((size, size), bool)

    def broken(moved, order):
        return sum(breaks_pair(mask, masks[i], everywhere, pair) for mask, i in zip(moved, order, strict=True))

    own = [i % 6 for i in range(48)]
    control = [case.mask for case in derived("warped", labels, 48, size, strong, 0, pair)]
    source = MaskSource(labels, 2, size, MaskShares(parent=1, shape_model=0, user=0), strong, 0, pair=pair)
    sampled = [source.draw(i) for i in range(48)]
    assert broken(control, own) == 0
    assert broken([one.mask for one in sampled], [int(one.template.id[1:]) for one in sampled]) == 0
    unscreened = [case.mask for case in derived("warped", labels, 48, size, strong, 0)]
    assert broken(unscreened, own) > 10
