import numpy as np
import torch

from pipeline.diffusion.conditioning import condition, n_planes, signed_distance, without_mask
from pipeline.diffusion.sector import field_of_view


def masks_of_two() -> torch.Tensor:
    masks = torch.zeros(2, 32, 32, dtype=torch.uint8)
    masks[0, 8:24, 8:24] = 1
    masks[1, 4:12, 4:12] = 2
    return masks


def test_planes_are_plus_minus_one_not_tiny():
    planes = condition(masks_of_two(), torch.ones(2, 32, 32, dtype=torch.bool), 2)
    assert planes.shape == (2, n_planes(2), 32, 32)
    assert set(planes[:, :3].unique().tolist()) == {-1.0, 1.0}
    assert planes[0, 1, 16, 16] == 1 and planes[0, 2].max() == -1 and planes[1, 2, 8, 8] == 1


def test_distance_is_signed_and_zero_at_the_boundary():
    inside = np.zeros((32, 32), bool)
    inside[8:24, 8:24] = True
    distance = signed_distance(inside)
    assert distance[16, 16] == 8
    assert distance[8, 16] == 1 and distance[7, 16] == -1
    assert (signed_distance(np.zeros((8, 8), bool)) == -8).all()


def test_moving_the_mask_moves_the_planes():
    masks, sector = masks_of_two()[:1], torch.ones(1, 32, 32, dtype=torch.bool)
    moved = torch.roll(masks, 3, dims=2)
    shifted = torch.roll(condition(masks, sector, 1), 3, dims=3)
    torch.testing.assert_close(condition(moved, sector, 1)[..., 4:-4], shifted[..., 4:-4])


def test_unknown_mask_keeps_the_sector():
    planes = condition(masks_of_two(), torch.zeros(2, 32, 32, dtype=torch.bool), 1)
    null = without_mask(planes)
    assert (null[:, 0] == -1).all() and (null[:, 1:] == 0).all()


def test_field_of_view_is_the_sector():
    rows, columns = np.mgrid[:96, :96]
    angle, depth = np.arctan2(columns - 48, rows + 20), np.hypot(columns - 48, rows + 20)
    sector = (np.abs(angle) < 0.55) & (depth > 25) & (depth < 108)
    image = np.where(sector, np.random.default_rng(0).integers(30, 120, sector.shape), 0).astype(np.uint8)
    image[40:60, 40:60] = 0
    image[:4, :3] = 255
    view = field_of_view(image)
    assert (view & sector).sum() / (view | sector).sum() > 0.93
    assert view[50, 50], "fluid inside the sector belongs to the field of view"
    assert not view[0, 0], "a burnt-in bar does not"


def test_field_of_view_of_a_black_image_is_everything():
    assert field_of_view(np.zeros((32, 32), np.uint8)).all()
