import json

import numpy as np
import pytest

from pipeline.core.errors import InputError
from pipeline.core.geometry import Letterbox
from pipeline.core.params import Warp
from pipeline.diffusion.masks import draw_masks
from pipeline.diffusion.shapes import describe, fit_shape_model, rasterise

WARP = Warp(rotate_deg=10, scale=0.12, aspect=0.12, shift=0.05, elastic=0.008)


def ellipse(size, centre, axes, angle=0.0):
    rows, columns = np.mgrid[:size, :size]
    y, x = rows - centre[0], columns - centre[1]
    u, v = x * np.cos(angle) + y * np.sin(angle), -x * np.sin(angle) + y * np.cos(angle)
    return ((u / axes[0]) ** 2 + (v / axes[1]) ** 2 <= 1).astype(np.uint8)


def iou(a, b):
    return (a & b).sum() / (a | b).sum()


@pytest.mark.parametrize("angle", [0.0, 0.4, 1.3])
def test_contours_survive_description(angle):
    mask = ellipse(96, (50, 44), (34, 24), angle)
    assert iou(rasterise(describe(mask, 1), 1, 96) > 0, mask > 0) > 0.96


def test_two_structures_survive_description():
    mask = ellipse(96, (60, 50), (28, 20)) * 2
    mask[ellipse(96, (20, 25), (12, 6), 0.5) > 0] = 1
    back = rasterise(describe(mask, 2), 2, 96)
    for k in (1, 2):
        assert iou(back == k, mask == k) > 0.9


def test_sampled_shapes_have_the_distribution_of_the_fitted_ones():
    rng = np.random.default_rng(0)
    masks = [ellipse(64, rng.normal(32, 2, 2), (rng.normal(20, 2), rng.normal(14, 1.5))) for _ in range(40)]
    model = fit_shape_model(masks, 1)
    drawn = [model.sample(64, np.ones((64, 64), bool), np.random.default_rng(i)) for i in range(80)]
    real, sampled = (np.array([[m.sum(), *np.argwhere(m).mean(axis=0)] for m in group]) for group in (masks, drawn))
    np.testing.assert_allclose(sampled.mean(axis=0), real.mean(axis=0), rtol=0.06)
    np.testing.assert_allclose(sampled.std(axis=0), real.std(axis=0), rtol=0.45)
    assert len({m.tobytes() for m in drawn}) == 80


def test_one_mask_is_too_few_for_a_shape_model():
    with pytest.raises(InputError, match="needs two masks with all structures, found 1"):
        fit_shape_model([ellipse(64, (32, 32), (20, 14))], 1)


@pytest.fixture
def labels(ring):
    return [ring(i, height=60, width=80) for i in range(6)]


def test_draws_are_functions_of_their_index(labels):
    few, many = (draw_masks(labels, 1, 64, count, 0.25, WARP, seed=1) for count in (10, 20))
    for a, b in zip(few, many, strict=False):
        np.testing.assert_array_equal(a.mask, b.mask)
        assert a.transform == b.transform


def test_share_and_provenance_of_sources(labels):
    draws = draw_masks(labels, 1, 64, 40, 0.25, WARP, seed=1)
    assert sum(draw.source == "shape_model" for draw in draws) == 10
    for draw in draws:
        assert draw.template in labels
        json.loads(draw.transform)
        valid = Letterbox.fit((60, 80), 64).valid(64)
        assert not draw.mask[~valid].any(), "nothing may lie in the letter-box padding"


def test_warped_masks_are_plausible_and_new(labels):
    draws = draw_masks(labels, 1, 64, 30, 0.0, WARP, seed=1)
    areas = np.array([draw.mask.sum() for draw in draws])
    base = np.mean([(case.mask.sum()) * (64 / 80) ** 2 for case in labels])
    assert 0.6 * base < areas.min() and areas.max() < 1.5 * base
    assert len({draw.mask.tobytes() for draw in draws}) == 30
