import numpy as np
import pytest
import torch

from pipeline.config.augmentation import Warp
from pipeline.data.stacking import stack_masks
from pipeline.imaging.affine import random_affine
from pipeline.imaging.letterbox import Letterbox, letterbox, to_uint8, to_unit_range
from pipeline.imaging.warp import warp, warp_field
from pipeline.run.seeds import numpy_generator

STILL = Warp(rotate_deg=0, scale=0, aspect=0, shift=0, elastic=0)


@pytest.mark.parametrize("shape", [(540, 800), (800, 540), (64, 64), (33, 97)])
def test_letterbox_keeps_the_aspect_ratio_and_centres(shape):
    box = Letterbox.fit(shape, 64)
    assert max(box.inner) == 64
    assert box.inner[0] / box.inner[1] == pytest.approx(shape[0] / shape[1], rel=0.02)
    assert all(abs(2 * o + i - 64) <= 1 for o, i in zip(box.offset, box.inner, strict=True))


def test_mask_area_survives_letterboxing(ring):
    case = ring(0, height=240, width=320)
    small = stack_masks([case], 96)[0]
    scale = Letterbox.fit(case.mask.shape, 96).scale
    assert small.sum() == pytest.approx(case.mask.sum() * scale**2, rel=0.02)
    assert set(np.unique(small)) == {0, 1}


def test_there_and_back_is_the_same_region(ring):
    case = ring(1, height=270, width=400)
    canvas, box = letterbox(case.mask, 128, mask=True)
    back = box.restore(canvas.astype(np.float32)) >= 0.5
    union = (back | (case.mask > 0)).sum()
    assert (back & (case.mask > 0)).sum() / union > 0.97
    assert back.shape == case.mask.shape


def test_grey_levels_round_trip():
    levels = np.arange(256, dtype=np.uint8)
    np.testing.assert_array_equal(to_uint8(to_unit_range(levels)), levels)


def test_warp_without_change_is_the_identity(ring):
    image = letterbox(ring(2).image, 64)[0]
    field = warp_field(64, STILL, numpy_generator(0))
    np.testing.assert_allclose(warp(image.astype(float), field), image, atol=1e-9)


def test_warp_shift_moves_by_the_field():
    image = np.zeros((32, 32))
    image[16, 16] = 1
    field = np.mgrid[:32, :32].astype(float) - np.array([3, -2])[:, None, None]
    assert np.argwhere(warp(image, field)).tolist() == [[19, 14]]


def test_warp_scale_changes_the_area_as_it_says():
    mask = np.zeros((64, 64), np.uint8)
    mask[22:42, 22:42] = 1
    params = STILL.model_copy(update={"scale": 0.2})
    for key in range(5):
        drawn = np.exp(numpy_generator(7, key).uniform(-1, 1, 2)[1] * 0.2)
        warped = warp(mask, warp_field(64, params, numpy_generator(7, key)), mask=True)
        assert warped.sum() == pytest.approx(400 * drawn**2, rel=0.12)


def test_affine_moves_image_and_mask_together(ring):
    cases = [ring(i, height=64, width=64) for i in range(8)]
    masks = torch.from_numpy(np.stack([case.mask for case in cases]))
    images = masks[:, None].float() * 2 - 1
    generator = torch.Generator().manual_seed(0)
    moved, labels = random_affine(images, masks, generator, flip=True, rotate_deg=20, scale=0.2, shift=0.1)
    agree = ((moved[:, 0] > 0) == (labels > 0)).float().mean()
    assert agree > 0.985
    assert not torch.equal(labels, masks)


def test_affine_without_change_is_the_identity(ring):
    image = torch.from_numpy(to_unit_range(letterbox(ring(0).image, 64)[0]))[None, None]
    mask = torch.ones(1, 64, 64, dtype=torch.uint8)
    same, _ = random_affine(image, mask, torch.Generator().manual_seed(0), flip=False, rotate_deg=0, scale=0, shift=0)
    torch.testing.assert_close(same, image, atol=1e-5, rtol=0)
