import json

import numpy as np
import pytest

from pipeline.config.augmentation import Warp
from pipeline.config.sample import MaskShares
from pipeline.diffusion.masks import MaskSource, RepeatedMasks
from pipeline.diffusion.shape_model import fit_shape_model, rasterise, shape_vector
from pipeline.imaging.letterbox import Letterbox
from pipeline.run.errors import InputError

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
    assert iou(rasterise(shape_vector(mask, 1), 1, 96) > 0, mask > 0) > 0.96


def test_two_structures_survive_description():
    mask = ellipse(96, (60, 50), (28, 20)) * 2
    mask[ellipse(96, (20, 25), (12, 6), 0.5) > 0] = 1
    back = rasterise(shape_vector(mask, 2), 2, 96)
    for k in (1, 2):
        assert iou(back == k, mask == k) > 0.9


def everywhere(count):
    return [np.ones((64, 64), bool)] * count


def test_sampled_shapes_have_the_distribution_of_the_fitted_ones():
    rng = np.random.default_rng(0)
    masks = [ellipse(64, rng.normal(32, 2, 2), (rng.normal(20, 2), rng.normal(14, 1.5))) for _ in range(40)]
    model = fit_shape_model(masks, 1, everywhere(40))
    drawn = [model.sample(64, everywhere(40), np.random.default_rng(i))[0] for i in range(80)]
    real, sampled = (np.array([[m.sum(), *np.argwhere(m).mean(axis=0)] for m in group]) for group in (masks, drawn))
    np.testing.assert_allclose(sampled.mean(axis=0), real.mean(axis=0), rtol=0.06)
    np.testing.assert_allclose(sampled.std(axis=0), real.std(axis=0), rtol=0.45)
    assert len({m.tobytes() for m in drawn}) == 80


def test_a_sampled_shape_takes_a_sector_that_goes_with_it():
    """Heads on the left in left sectors, on the right in right ones: the draws keep them together."""
    left, right = np.zeros((2, 64, 64), bool)
    left[:, :40], right[:, 24:] = True, True
    rng = np.random.default_rng(0)
    masks = [ellipse(64, (32 + rng.normal(), x + rng.normal()), (12, 10)) for x in (18, 46) * 10]
    sectors = [left, right] * 10
    model = fit_shape_model(masks, 1, sectors)
    for i in range(40):
        mask, index = model.sample(64, everywhere(20), np.random.default_rng(i))
        column = np.argwhere(mask)[:, 1].mean()
        # Near the middle either sector will do.
        assert abs(column - 32) < 6 or (column < 32) == (index % 2 == 0)


def test_one_mask_is_too_few_for_a_shape_model():
    with pytest.raises(InputError, match="needs two masks with all structures, found 1"):
        fit_shape_model([ellipse(64, (32, 32), (20, 14))], 1, everywhere(1))


@pytest.fixture
def labels(ring):
    return [ring(i, height=60, width=80, pixel_mm=0.2) for i in range(6)]


def source_of(labels, parent=0.75, shape_model=0.25, user=0.0, masks=()):
    return MaskSource(labels, 1, 64, MaskShares(parent=parent, shape_model=shape_model, user=user), WARP, 1, masks)


def test_draws_are_functions_of_their_index(labels):
    forwards, backwards = source_of(labels), source_of(labels)
    late = {i: backwards.draw(i) for i in reversed(range(10))}
    for i in range(10):
        draw = forwards.draw(i)
        np.testing.assert_array_equal(draw.mask, late[i].mask)
        assert draw.transform == late[i].transform and draw.template is late[i].template


def test_share_and_provenance_of_sources(labels):
    mine = [(f"mine{i}", ellipse(80, (40, 40 + i), (20, 14))) for i in range(3)]
    source = source_of(labels, 0.6, 0.2, 0.2, mine)
    draws = [source.draw(i) for i in range(40)]
    counts = {name: sum(draw.source == name for draw in draws) for name in ("parent", "shape_model", "user")}
    assert counts == {"parent": 24, "shape_model": 8, "user": 8}
    assert {json.loads(d.transform)["mask"] for d in draws if d.source == "user"} == {"mine0", "mine1", "mine2"}
    parents = [draw.template.id for draw in draws if draw.source == "parent"]
    assert {parents.count(name) for name in set(parents)} == {4}, "the labels take their turns"
    for draw in draws:
        assert draw.template in labels and draw.sector.shape == (64, 64)
        if draw.source != "user":
            assert draw.pixel_mm == pytest.approx(0.2 * 80 / 64)
            assert not draw.mask[~Letterbox.fit((60, 80), 64).valid(64)].any(), "nothing lies in the padding"


def test_a_share_for_masks_that_are_not_there_says_where_to_put_them(labels):
    with pytest.raises(InputError, match=r"sample.masks.user.*data/masks holds no mask"):
        source_of(labels, 0.5, 0.0, 0.5)


def test_warped_masks_are_plausible_and_new(labels):
    source = source_of(labels, 1.0, 0.0)
    draws = [source.draw(i) for i in range(30)]
    areas = np.array([draw.mask.sum() for draw in draws])
    base = np.mean([(case.mask.sum()) * (64 / 80) ** 2 for case in labels])
    assert 0.6 * base < areas.min() and areas.max() < 1.5 * base
    assert len({draw.mask.tobytes() for draw in draws}) == 30


def test_repeated_masks_are_those_of_the_source_several_times_each(ring):
    source = MaskSource([ring(i) for i in range(3)], 1, 32, MaskShares(parent=1, shape_model=0, user=0), WARP, 0)
    repeated = RepeatedMasks(source, 3)
    for i in range(7):
        np.testing.assert_array_equal(repeated.draw(i).mask, source.draw(i // 3).mask)
