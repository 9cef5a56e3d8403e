import numpy as np
import pytest

from pipeline.quality.variety import within_mask_diversity

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


@pytest.mark.parametrize("groups", [[0, 0, 0], [0, 1, 2]])
def test_without_two_masks_or_two_images_of_one_there_is_no_diversity(groups):
    assert within_mask_diversity(features(1)[:3], groups) is None
