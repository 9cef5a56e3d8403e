"""Fidelity and coverage: what each metric must see, and what it must not."""

import numpy as np
import pytest
import torch
from scipy import ndimage

from pipeline.quality.fidelity import fidelity
from pipeline.run.errors import InputError


def scenes(count, seed, size=16):
    """Smooth random textures of varying level and contrast."""
    rng = np.random.default_rng(seed)
    texture = ndimage.gaussian_filter(rng.normal(size=(count, size, size)), (0, 1.0, 1.0))
    return rng.normal(120, 15, (count, 1, 1)) + rng.uniform(40, 80, (count, 1, 1)) * texture


def features(images):
    """Level, contrast and fine grain of the four quarters: what blur and noise change is easy to foresee."""
    parts = np.asarray(images).reshape(len(images), 2, 8, 2, 8).transpose(0, 1, 3, 2, 4).reshape(len(images), 4, 64)
    grain = np.abs(np.diff(np.asarray(images), axis=2)).mean((1, 2))
    values = np.concatenate([parts.mean(2) / 20, parts.std(2) / 10, grain[:, None] / 5], axis=1)
    return torch.from_numpy(values).float()


def values(candidates, reference, resamples=0, seed=0):
    found = fidelity(candidates, reference, kid_subsets=20, neighbours=3, seed=seed, resamples=resamples)
    return {name: metric.value for name, metric in found.items()} if not resamples else found


REFERENCE = features(scenes(80, 0))
HARMS = {
    "blur": lambda x, level: ndimage.gaussian_filter(x, (0, level, level)),
    "noise": lambda x, level: x + np.random.default_rng(9).normal(0, 12 * level, x.shape),
    "level": lambda x, level: x + 40 * level,
}


@pytest.mark.parametrize("harm", HARMS)
def test_distances_grow_with_every_harm_and_precision_and_density_fall(harm):
    found = [values(features(HARMS[harm](scenes(80, 1), level)), REFERENCE) for level in (0, 0.7, 1.4, 2.8)]
    for name in ("fid", "kid"):
        assert [one[name] for one in found] == sorted(one[name] for one in found), name
        assert found[-1][name] > found[0][name] + 0.5
    for name in ("precision", "density"):
        ordered = [one[name] for one in found]
        assert ordered == sorted(ordered, reverse=True) and ordered[-1] < 0.7 * ordered[0], name


def test_dropped_modes_cost_coverage_and_not_precision():
    whole = scenes(80, 1)
    found = [values(features(np.tile(whole[:k], (80 // k, 1, 1))), REFERENCE) for k in (80, 20, 5)]
    for name in ("recall", "coverage"):
        ordered = [one[name] for one in found]
        assert ordered == sorted(ordered, reverse=True) and ordered[-1] < 0.5 * ordered[0], name
    assert found[-1]["precision"] >= found[0]["precision"] - 0.15
    assert found[-1]["fid"] > found[0]["fid"]


def test_copies_of_the_reference_are_rewarded_by_all():
    """None of these can see copying: that is what the distance to training images is for."""
    copied, fresh = values(REFERENCE, REFERENCE), values(features(scenes(80, 1)), REFERENCE)
    assert copied["fid"] == pytest.approx(0, abs=1e-4) and copied["fid"] < fresh["fid"]
    assert copied["precision"] == copied["recall"] == copied["coverage"] == 1


def test_a_wrong_mask_changes_nothing():
    """They never see a mask; the same images in another order are the same set."""
    own = features(scenes(60, 1))
    order = np.random.default_rng(0).permutation(60)
    first, second = values(own, REFERENCE), values(own[order], REFERENCE)
    for name in ("fid", "precision", "density", "recall", "coverage"):
        assert first[name] == pytest.approx(second[name], rel=1e-4)


def test_numbers_repeat():
    own = features(scenes(30, 1))
    assert values(own, REFERENCE, 20) == values(own, REFERENCE, 20)


def test_intervals_hold_their_value_and_narrow_with_more_images():
    few, many = (values(features(scenes(count, 1)), REFERENCE, 60) for count in (30, 240))
    for name in few:
        assert few[name].low <= few[name].value <= few[name].high, name
    for name in ("fid", "kid", "precision", "density"):
        assert many[name].high - many[name].low < few[name].high - few[name].low, name
    assert few["kid"].spread > 0 and few["fid"].spread is None


def test_too_few_images_are_refused():
    with pytest.raises(InputError, match="at least 8 images a side.*candidates"):
        values(REFERENCE[:5], REFERENCE)
