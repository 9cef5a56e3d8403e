"""Canvases that are not square: letter-boxing, augmentation, warps, and cases made from labels."""

import json
import math
from functools import partial

import numpy as np
import pytest
import torch

from pipeline.arms.derived import KINDS, derived_cases
from pipeline.config.augmentation import Augment, StrongAugment, Warp
from pipeline.config.canvas import canvas, spelt
from pipeline.data.stacking import at_size, stack_images, stack_masks
from pipeline.diffusion.pair_limits import keeps_pair
from pipeline.imaging.affine import affine_matrix, apply_affine, random_affine
from pipeline.imaging.augment import augment, degrade
from pipeline.imaging.canvas import sides
from pipeline.imaging.letterbox import Letterbox, letterbox
from pipeline.imaging.warp import warp, warp_field
from pipeline.run.seeds import numpy_generator
from pipeline.semi_supervision.views import UnlabelledImages, rectangles

STILL = {"flip": False, "rotate_deg": 0, "scale": 0, "shift": 0, "brightness": 0, "contrast": 0, "gamma": 0}


@pytest.mark.parametrize("size", [(96, 160), (160, 96), (64, 96)])
@pytest.mark.parametrize("native", [(336, 544), (544, 336), (300, 300), (97, 33)])
def test_there_and_back_moves_nothing_by_a_pixel(native, size):
    """A ramp along each side comes back with its own values, and the canvas is filled along one side at least."""
    box = Letterbox.fit(native, size)
    assert any(inner == side for inner, side in zip(box.inner, size, strict=True))
    assert all(inner <= side for inner, side in zip(box.inner, size, strict=True))
    assert all(abs(2 * o + i - s) <= 1 for o, i, s in zip(box.offset, box.inner, size, strict=True))
    assert box.inner[0] / box.inner[1] == pytest.approx(native[0] / native[1], rel=0.03)
    assert box.valid(size).shape == size and box.valid(size).sum() == box.inner[0] * box.inner[1]
    for ramp in np.mgrid[: native[0], : native[1]]:
        small = np.zeros(size, np.float32)
        scale = ramp.max() + 1
        rows, columns = (np.arange(inner) + 0.5 for inner in box.inner)
        values = (rows[:, None] / box.inner[0] if ramp[1, 0] else columns[None] / box.inner[1]) * np.ones(box.inner)
        small[box.window] = values * scale - 0.5
        inside = (slice(5, -5),) * 2
        assert np.abs(box.restore(small) - ramp)[inside].max() < 1


def test_a_square_pair_is_the_square():
    for native in ((336, 544), (540, 800), (31, 64), (1, 60)):
        assert Letterbox.fit(native, 64) == Letterbox.fit(native, (64, 64)) == Letterbox.fit(native, [64, 64])


def test_a_mask_comes_back_at_its_own_size(ring):
    case = ring(1, height=336, width=544)
    small, box = letterbox(case.mask, (128, 192), mask=True)
    back = box.restore(small.astype(np.float32)) >= 0.5
    assert small.shape == (128, 192) and back.shape == case.mask.shape
    assert (back & (case.mask > 0)).sum() / (back | (case.mask > 0)).sum() > 0.98
    image, mask = at_size(case, (128, 192))
    assert image.shape == mask.shape == box.inner


def _square(height, width, at, half=4):
    mask = torch.zeros(1, height, width, dtype=torch.uint8)
    mask[0, at[0] - half : at[0] + half, at[1] - half : at[1] + half] = 1
    return mask


@pytest.mark.parametrize(("height", "width"), [(64, 128), (128, 64), (96, 96)])
@pytest.mark.parametrize("degrees", [30, 90, -45])
def test_a_rotation_turns_pixels(height, width, degrees):
    """A square at a distance stays at that distance, turned by the angle, of its own area."""
    reach = 24
    mask = _square(height, width, (height // 2, width // 2 + reach))
    one, none = torch.tensor([math.radians(degrees)]), torch.zeros(1)
    theta = affine_matrix(one, none, none, torch.zeros(1, 2), torch.tensor([False]))
    moved, labels = apply_affine(mask[:, None].float() * 2 - 1, mask, theta)
    y, x = (labels[0] > 0).nonzero().float().mean(0) - torch.tensor([(height - 1) / 2, (width - 1) / 2])
    assert math.hypot(x, y) == pytest.approx(reach, abs=0.8)
    # The matrix says where a pixel is read from: what is seen turns the other way.
    assert math.degrees(math.atan2(-y, x)) == pytest.approx(degrees, abs=2)
    assert int(labels.sum()) == pytest.approx(64, rel=0.15)
    assert ((moved[:, 0] > 0) == (labels > 0)).float().mean() > 0.99


def test_shifts_are_shares_of_each_side():
    mask = _square(64, 128, (32, 64))
    shift = torch.tensor([[0.25, -0.125]])
    theta = affine_matrix(torch.zeros(1), torch.zeros(1), torch.zeros(1), shift, torch.tensor([False]))
    _, labels = apply_affine(mask[:, None].float(), mask, theta)
    assert (labels[0] > 0).nonzero().float().mean(0).tolist() == [31.5 + 8, 63.5 - 32]


def test_augmentation_moves_image_and_mask_together(ring):
    cases = [ring(i, height=64, width=96) for i in range(8)]
    masks = torch.from_numpy(np.stack([case.mask for case in cases]))
    generator = torch.Generator().manual_seed(0)
    options = {"flip": True, "rotate_deg": 40, "scale": 0.2, "shift": 0.1}
    moved, labels = random_affine(masks[:, None].float() * 2 - 1, masks, generator, **options)
    assert ((moved[:, 0] > 0) == (labels > 0)).float().mean() > 0.985 and not torch.equal(labels, masks)
    images, labels = augment(moved, labels, Augment(**STILL | options), generator)
    assert images.shape == (8, 1, 64, 96) and labels.shape == (8, 64, 96)


def test_lower_resolution_is_lower_along_both_sides():
    images = torch.rand(8, 1, 32, 64, generator=torch.Generator().manual_seed(1)) * 1.6 - 0.8
    strong = StrongAugment(**STILL, probability=1.0, noise=0.0, blur=0.0, low_resolution=0.5)
    found = degrade(images, strong, torch.Generator().manual_seed(0))
    assert found.shape == images.shape
    for side in (-1, -2):
        assert found.diff(dim=side).abs().mean() < 0.9 * images.diff(dim=side).abs().mean()


def test_a_warp_without_change_is_the_identity_and_a_turn_keeps_areas():
    still = Warp(rotate_deg=0, scale=0, aspect=0, shift=0, elastic=0)
    field = warp_field((48, 80), still, numpy_generator(0))
    np.testing.assert_allclose(field, np.mgrid[:48, :80], atol=1e-9)
    mask = np.zeros((48, 80), np.uint8)
    mask[14:34, 20:60] = 1
    for key in range(5):
        turned = warp(
            mask, warp_field((48, 80), still.model_copy(update={"rotate_deg": 20}), numpy_generator(key)), mask=True
        )
        assert turned.shape == mask.shape and int(turned.sum()) == pytest.approx(800, rel=0.04)


@pytest.mark.parametrize("kind", KINDS)
def test_cases_made_from_labels_fill_the_canvas(ring, kind):
    labels = [ring(i, height=84, width=136) for i in range(3)]
    params = Warp(rotate_deg=10, scale=0.1, aspect=0.1, shift=0.05, elastic=0.008)
    for case in derived_cases(kind, labels, 3, (64, 96), params, 0, partial(keeps_pair, None)):
        assert case.image.shape == case.mask.shape == Letterbox.fit((84, 136), (64, 96)).inner
        assert 0.4 < case.mask.sum() / letterbox(labels[0].mask, (64, 96), mask=True)[0].sum() < 1.6


def test_unlabelled_images_and_their_rectangles_have_the_canvas(ring):
    cases = [ring(i, height=84, width=136) for i in range(5)]
    assert stack_images(cases, (64, 96)).shape == (5, 1, 64, 96)
    strong = StrongAugment(**STILL, probability=1.0, noise=0.1, blur=1.0, low_resolution=0.5)
    images = np.stack([letterbox(case.image, (64, 96))[0] for case in cases])
    pool = UnlabelledImages(images, stack_masks(cases, (64, 96)), Augment(**STILL), strong)
    generator = torch.Generator().manual_seed(0)
    _, weak, masks = pool.draw(4, generator)
    assert weak.shape == pool.strengthen(weak, generator).shape == (4, 1, 64, 96) and masks.shape == (4, 64, 96)
    found = rectangles(400, (64, 96), 0.5, generator).numpy()
    area = found.mean(axis=(1, 2))
    assert 0.4 < (area > 0).mean() < 0.6 and area.max() < 0.42 and area[area > 0].min() > 0.01
    assert all(one[np.ix_(one.any(1), one.any(0))].all() for one in found if one.any())
    assert found.any(axis=(0, 1)).mean() > 0.97 and found.any(axis=(0, 2)).mean() > 0.97, "they reach the whole canvas"


def test_sizes_are_read_and_spelt():
    from pydantic import TypeAdapter

    kind = TypeAdapter(canvas(32, 16))
    for given, wanted in ((64, 64), ([64, 96], (64, 96)), ((96, 64), (96, 64)), ([64, 64], 64)):
        assert kind.validate_python(given) == kind.validate_json(json.dumps(given), strict=True) == wanted
        assert kind.validate_python(json.loads(kind.dump_json(wanted))) == wanted
    for bad in (16, 40, [64], [64, 96, 32], [64, 100], [64, "96"], "64", 64.0, True, [True, 64], None, [], {}):
        with pytest.raises(ValueError, match=r"\[height, width\], each 32 or more and a multiple of 16"):
            kind.validate_python(bad)
    assert sides(64) == (64, 64) and sides([64, 96]) == (64, 96)
    assert spelt(64) == "64" and spelt((64, 96)) == "64 x 96"
