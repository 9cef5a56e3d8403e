"""Sampled masks of symphysis and head: apart, on their sides, spread as the labels, of the angles asked for."""

import hashlib
import json

import numpy as np
import pytest
from scipy import ndimage

from pipeline.config.augmentation import Warp
from pipeline.config.sample import Angles, MaskShares
from pipeline.data.case import Case
from pipeline.diffusion.angle_bands import BANDS, band_of, shares
from pipeline.diffusion.masks import MaskSource
from pipeline.diffusion.pair_limits import breaks_pair, fit_limits
from pipeline.diffusion.pair_shapes import fit_pair_shapes
from pipeline.imaging.letterbox import letterbox
from pipeline.run.errors import InputError
from pipeline.tasks.segmentation.pair import Pair
from tests.tasks.scenes import random_scene

SIZE, PAIR = 96, Pair(1, 2)
WARP = Warp(rotate_deg=10, scale=0.12, aspect=0.12, shift=0.05, elastic=0.008)
EVERYWHERE = np.ones((SIZE, SIZE), bool)


def scenes(count, seed=0):
    rng = np.random.default_rng(seed)
    return [letterbox(random_scene(rng).class_map(), SIZE, mask=True)[0] for _ in range(count)]


def labels_of(masks):
    return [
        Case(f"c{i}", "scenes", f"p{i}", np.where(mask, 90, 60).astype(np.uint8), mask, mask_source="annotated")
        for i, mask in enumerate(masks)
    ]


def source_of(masks, shape_model=1.0, pair=PAIR, **angles):
    asked = Angles(**angles) if angles else None
    parts = MaskShares(parent=1 - shape_model, shape_model=shape_model, user=0, angles=asked)
    return MaskSource(labels_of(masks), 2, SIZE, parts, WARP, 0, (), ("bone", "head"), 1, pair)


@pytest.fixture(scope="module")
def ten():
    return scenes(10)


@pytest.fixture(scope="module")
def drawn(ten):
    return [source_of(ten, 0.5).draw(i) for i in range(60)]


def axis(mask):
    return PAIR.measure(mask).axis.direction


def test_ten_labels_give_masks_apart_inside_and_on_their_sides(ten, drawn):
    mean = np.sum([axis(mask) for mask in ten], axis=0)
    for draw in drawn:
        found = PAIR.measure(draw.mask)
        assert found.failure is None and found.axis.direction @ mean > 0
        near = ndimage.binary_dilation(draw.mask == 1, np.ones((3, 3))) & (draw.mask == 2)
        assert not near.any(), "symphysis and head do not touch"
        rim = np.concatenate([draw.mask[0], draw.mask[-1], draw.mask[:, 0], draw.mask[:, -1]])
        assert not rim.any(), "no label is cut off by the frame"
    assert len({draw.mask.tobytes() for draw in drawn}) == 60


def test_the_recorded_angle_is_that_of_the_mask(drawn):
    for draw in drawn:
        assert json.loads(draw.transform)["aop_deg"] == pytest.approx(PAIR.angle(draw.mask), abs=1e-4)


def test_angles_and_sizes_are_spread_as_in_the_labels():
    masks = scenes(30, seed=3)
    source = source_of(masks)
    own = [source.draw(i).mask for i in range(80)]
    numbers = [np.array([[PAIR.angle(m), (m == 1).sum(), (m == 2).sum()] for m in group]) for group in (masks, own)]
    # Outlines that lie at all angles, as no cohort's do, average to smaller and rounder ones.
    np.testing.assert_allclose(numbers[1].mean(axis=0), numbers[0].mean(axis=0), rtol=0.15)
    np.testing.assert_allclose(numbers[1].std(axis=0), numbers[0].std(axis=0), rtol=0.3)


def test_both_structures_move_together():
    """Symphysis and head shift by the same amount in these labels: so they do in the draws."""
    rng, (mask,) = np.random.default_rng(0), scenes(1, seed=5)
    masks = [np.roll(mask, tuple(rng.integers(-6, 7, 2)), (0, 1)) for _ in range(14)]
    source = source_of(masks)
    places = np.array(
        [[ndimage.center_of_mass(draw.mask == k) for k in (1, 2)] for draw in map(source.draw, range(40))]
    )
    for along in (0, 1):
        assert np.corrcoef(places[:, 0, along], places[:, 1, along])[0, 1] > 0.9


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda bone, head: (bone, ndimage.binary_dilation(head, iterations=40)), "the head overlaps the symphysis"),
        (lambda bone, head: (np.zeros_like(bone), head), "no symphysis"),
        (lambda bone, head: (bone, np.zeros_like(head)), "no head"),
        (lambda bone, head: (bone[::-1], head[::-1]), "the head is on the other side of the symphysis"),
        (lambda bone, head: (bone, np.roll(head, SIZE // 2, axis=1)), "cut off by the frame"),
    ],
)
def test_an_implausible_draw_is_refused_by_name(change, why):
    rng, (mask,) = np.random.default_rng(0), scenes(1, seed=5)
    limits = fit_limits([np.roll(mask, rng.integers(-3, 4), 1) for _ in range(6)], [EVERYWHERE] * 6, PAIR)
    parts = np.stack(change(mask == 1, mask == 2))
    if why.startswith("cut"):
        parts[1, SIZE // 2 :, -3:] = True
        parts[1, : SIZE // 2 + 5] &= ~(mask[: SIZE // 2 + 5] == 1)
    seen = np.where(parts[1], 2, parts[0] * 1).astype(np.uint8)
    assert limits.fault(parts, seen, EVERYWHERE)[0] == why
    assert limits.fault(np.stack([mask == 1, mask == 2]), mask, EVERYWHERE)[0] is None


def test_labels_without_an_angle_are_refused_with_the_remedy(ten):
    bare = [np.where(mask == 1, 0, mask) for mask in ten[:3]]
    with pytest.raises(InputError, match=r"two labels .* 1 of 4 .*no symphysis.*raise grid.labels"):
        fit_limits([*bare, ten[0]], [EVERYWHERE] * 4, PAIR)


def test_hardly_any_accepted_draw_says_why(ten):
    shapes = fit_pair_shapes(ten, 2, [EVERYWHERE] * 10, [EVERYWHERE] * 10, PAIR)
    object.__setattr__(shapes.limits, "gap", 1e3)
    with pytest.raises(InputError, match=r"in 100 draws \(.*symphysis and head touch.*sample.masks.shape_model to 0"):
        shapes.sample(SIZE, [EVERYWHERE] * 10, np.random.default_rng(0))


def test_warps_that_break_the_pair_are_refused(ten):
    mask = ten[0]
    assert not breaks_pair(mask, mask, EVERYWHERE, PAIR)
    assert breaks_pair(mask[::-1], mask, EVERYWHERE, PAIR), "turned over: the other end would be the inferior one"
    assert breaks_pair(np.where(mask == 1, 0, mask), mask, EVERYWHERE, PAIR)
    reach = np.flatnonzero((mask == 2).any(axis=1))[-1]
    assert breaks_pair(np.roll(mask, SIZE - 1 - reach, axis=0), mask, EVERYWHERE, PAIR), "cut off by the frame"
    assert not breaks_pair(mask, np.where(mask == 1, 0, mask), EVERYWHERE, PAIR), "its parent has no angle"


def test_a_label_without_symphysis_is_warped_as_it_is(ten):
    masks = [np.where(mask == 1, 0, mask) for mask in ten[:3]]
    draw = source_of(masks, 0.0).draw(0)
    assert set(np.unique(draw.mask)) == {0, 2} and json.loads(draw.transform)["aop_deg"] is None


def test_a_third_structure_that_some_labels_lack_leaves_the_angles_drawn_as_asked(ten):
    """Its vector is known of the complete labels alone, and so is what changes with the angle."""
    masks = [np.array(mask) for mask in ten]
    for mask in masks[::2]:
        mask[2:10, 2:12] = 3
    everywhere = [EVERYWHERE] * len(masks)
    shapes = fit_pair_shapes(masks, 3, everywhere, everywhere, PAIR)
    own = fit_pair_shapes(masks[::2], 3, everywhere[::2], everywhere[::2], PAIR)
    np.testing.assert_allclose(shapes.slope, own.slope)
    assert np.isfinite(shapes.slope).all() and np.abs(shapes.slope).max() > 0
    rng, rare = np.random.default_rng(0), BANDS[2]
    draws = [shapes.sample(SIZE, everywhere, rng, rare) for _ in range(5)]
    assert all(rare.holds(PAIR.angle(mask)) and (mask == 3).any() for mask, *_ in draws)


@pytest.mark.parametrize("shape_model", [0.0, 0.5, 1.0])
def test_rare_angles_come_as_often_as_asked(ten, shape_model):
    plain = shares(json.loads(draw.transform)["aop_deg"] for draw in map(source_of(ten).draw, range(40)))
    asked = {"below_90": 0.2, "from_140": 0.3}
    source = source_of(ten, shape_model, **asked)
    draws = [source.draw(i) for i in range(40)]
    found = shares(PAIR.angle(draw.mask) for draw in draws)
    assert found == {"below_90": 0.2, "between": 0.5, "from_140": 0.3, "unmeasured": 0.0}
    assert found == shares(json.loads(draw.transform)["aop_deg"] for draw in draws)
    assert plain != found
    if shape_model < 1:
        parents = {int(draw.template.id[1:]) for draw in draws if draw.source == "parent"}
        assert len(parents) > 5, "parents of a band take their turns"


def test_every_band_takes_both_sources(ten):
    source = source_of(ten, 0.5, below_90=0.5, from_140=0.25)
    by_band = {}
    for i in range(32):
        by_band.setdefault(band_of(i, source.shares.angles)[0].name, []).append(source.draw(i).source)
    assert {name: len(own) for name, own in by_band.items()} == {"below_90": 16, "between": 8, "from_140": 8}
    assert all(set(own) == {"parent", "shape_model"} for own in by_band.values())


def test_a_band_that_no_label_is_in_is_drawn_from_the_shape_model():
    masks = [mask for mask in scenes(30, seed=2) if 95 < PAIR.angle(mask) < 150][:14]
    source = source_of(masks, 0.0, below_90=0.25, from_140=0.0)
    draws = [source.draw(i) for i in range(12)]
    rare = [draw for draw in draws if json.loads(draw.transform)["aop_deg"] < 90]
    assert len(rare) == 3 and {draw.source for draw in rare} == {"shape_model"}
    assert {draw.source for draw in draws} == {"shape_model", "parent"}


def test_a_band_beyond_what_is_plausible_is_refused_with_the_remedy():
    near = [mask for mask in scenes(60, seed=4) if 108 < PAIR.angle(mask) < 122][:6]
    with pytest.raises(InputError, match=r"below 90 degrees; with labels of 11. ± . degrees .*set its share to 0"):
        source_of(near, 1.0, below_90=1.0, from_140=0.0).draw(0)


def test_bands_hold_every_angle_once():
    for angle in (-5.0, 0.0, 89.999, 90.0, 139.9, 140.0, 200.0):
        assert sum(band.holds(angle) for band in BANDS) == 1
    assert not any(band.holds(float("nan")) for band in BANDS)


def test_one_structure_draws_what_it_drew_before_there_was_a_pair(ring):
    """Masks of the commit before the pair, by their digest: finished sets stay what they are."""
    labels = [ring(i, height=60, width=80) for i in range(6)]
    source = MaskSource(labels, 1, 64, MaskShares(parent=0.5, shape_model=0.5, user=0), WARP, 1)
    digest = hashlib.sha256()
    for draw in map(source.draw, range(24)):
        digest.update(draw.mask.tobytes() + draw.transform.encode())
    assert digest.hexdigest()[:16] == "f984eaec41a43eb7"


@pytest.mark.parametrize(("count", "mean", "sd"), [(10, 8.0, 6.0), (200, 4.0, 4.0)])
def test_masks_of_real_labels_have_the_angles_of_real_masks(shared_data, count, mean, sd):
    from pipeline.decoding.decode import decode_mask

    paths = sorted((shared_data / "psfhs/label_mha").glob("*.mha"))
    chosen = [paths[i] for i in np.random.default_rng(0).choice(len(paths), count, replace=False)]
    masks = [letterbox(decode_mask(path.read_bytes(), path.name), SIZE, mask=True)[0] for path in chosen]
    angles = [np.array([PAIR.angle(mask) for mask in group]) for group in (masks, _drawn(masks, 60))]
    assert not np.isnan(angles[1]).any()
    assert abs(angles[0].mean() - angles[1].mean()) < mean and abs(angles[0].std() - angles[1].std()) < sd


def _drawn(masks, count):
    source = source_of(masks)
    return [source.draw(i).mask for i in range(count)]
