import numpy as np
import pytest
import torch
from torch.nn import functional

from pipeline.diffusion.conditioning import Condition, below_a_cell, check_cells, signed_distance
from pipeline.diffusion.sector import choose_sectors, sector_bank, sector_of, sector_polygon
from pipeline.imaging.field_of_view import field_of_view
from pipeline.run.errors import InputError


def masks_of_two() -> torch.Tensor:
    masks = torch.zeros(2, 32, 32, dtype=torch.uint8)
    masks[0, 8:24, 8:24] = 1
    masks[1, 4:12, 4:12] = 2
    return masks


def everywhere(count: int = 2) -> torch.Tensor:
    return torch.ones(count, 32, 32, dtype=torch.bool)


def test_planes_are_plus_minus_one_not_tiny():
    condition = Condition(2)
    planes = condition.planes(masks_of_two(), everywhere())
    assert planes.shape == (2, condition.n_planes, 32, 32) == (2, 5, 32, 32)
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
    condition, masks = Condition(1), masks_of_two()[:1]
    moved = torch.roll(masks, 3, dims=2)
    shifted = torch.roll(condition.planes(masks, everywhere(1)), 3, dims=3)
    torch.testing.assert_close(condition.planes(moved, everywhere(1))[..., 4:-4], shifted[..., 4:-4])


def test_unknown_mask_keeps_the_sector_and_the_numbers():
    condition = Condition(1, numbers=2)
    planes = condition.planes(masks_of_two(), ~everywhere())
    channels = condition.channels(planes, torch.tensor([[0.5, -1.0], [0.0, 0.25]]))
    null = condition.without_mask(channels)
    assert (null[:, 0] == -1).all() and (null[:, 1:3] == 0).all()
    torch.testing.assert_close(null[:, 3:], channels[:, 3:])
    assert (channels[0, 4] == -1).all() and (channels[1, 4] == 0.25).all()


def test_what_is_not_told_is_zero():
    condition = Condition(1, numbers=3)
    channels = condition.channels(condition.planes(masks_of_two(), everywhere()))
    assert channels.shape[1] == condition.n_channels == 6 and not channels[:, 3:].any()


@pytest.mark.parametrize(("factor", "parts"), [(1, 1), (2, 2), (4, 2), (8, 2)])
def test_planes_reach_a_coarser_grid(factor, parts):
    condition = Condition(2, factor)
    planes = condition.planes(masks_of_two(), everywhere())
    assert planes.shape == (2, 5 * parts**2, 32 // factor, 32 // factor) == (2, condition.n_planes, *planes.shape[2:])
    fine = Condition(2).planes(masks_of_two(), everywhere())
    torch.testing.assert_close(planes.mean(), fine.mean())
    null = condition.without_mask(planes)
    assert (null[:, : parts**2] == 1).all() and not null[:, parts**2 :].any(), "the sector stays"


@pytest.mark.parametrize("moved", [1, 2, 3])
def test_a_boundary_within_a_part_of_a_cell_is_not_lost(moved):
    """An edge that moves by single pixels changes the covered share by as much, on a grid of 8 pixels a cell."""
    condition = Condition(1, 8)
    mask = torch.zeros(1, 32, 32, dtype=torch.uint8)
    mask[:, :, : 12 + moved] = 1
    inside = condition.planes(mask, everywhere(1))[0, 4:8, 0]
    covered = (inside.mean(dim=0) + 1) / 2
    assert covered.sum() * 8 == pytest.approx(12 + moved), "pixels of a row inside"


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("moved", range(8))
def test_a_symphysis_thinner_than_a_cell_reaches_the_grid(turned, moved):
    """26 by 5 pixels, as of the smallest in PSFHS at 256 px, on a grid of 32: its cover and its place are kept."""
    condition, mask = Condition(2, 8), torch.zeros(1, 256, 256, dtype=torch.uint8)
    mask[:, 40 + moved : 45 + moved, 61:87] = 1
    mask[:, 120:220, 80:200] = 2
    mask = mask.mT.contiguous() if turned else mask
    planes = condition.planes(mask, torch.ones(1, 256, 256, dtype=torch.bool))
    assert planes.shape == (1, condition.n_planes, 32, 32)
    # Channels: 4 of the sector, 4 of the symphysis, 4 of the head, then their distances.
    cover = functional.pixel_shuffle((planes[:, 4:8] + 1) / 2, 2)[0, 0] * 16
    assert cover.sum() == 26 * 5
    parts = torch.arange(64) * 4 + 1.5
    across = (cover.sum(dim=0 if turned else 1) * parts).sum() / cover.sum()
    assert across == pytest.approx(42 + moved, abs=1.6), "to less than half a part"
    distance = functional.pixel_shuffle(planes[:, 12:16], 2)[0, 0]
    assert distance[cover > 8].min() > distance[cover == 0].max(), "nearest where it lies"
    assert planes[:, 8:12].max() == 1, "the head is a plane of its own"


def test_a_symphysis_that_is_not_there_is_far_everywhere():
    condition, mask = Condition(2, 8), torch.zeros(1, 64, 64, dtype=torch.uint8)
    mask[:, 20:50, 20:50] = 2
    planes = condition.planes(mask, torch.ones(1, 64, 64, dtype=torch.bool))
    assert (planes[:, 4:8] == -1).all() and planes[:, 12:16].max() < -0.99
    assert not torch.equal(planes, condition.without_mask(planes)), "not there is not unknown"
    assert below_a_cell(mask[0].numpy(), 2, 8) == {}


def test_a_symphysis_smaller_than_a_cell_is_refused_by_name():
    mask = np.zeros((64, 64), np.uint8)
    mask[4:9, 4:16], mask[30:50, 30:50] = 1, 2
    assert below_a_cell(mask, 2, 8) == {1: 60}
    with pytest.raises(InputError, match="mask 'x': symphysis covers 60 pixels at 64 px, less than a cell"):
        check_cells(mask, ("symphysis", "head"), 8, "mask 'x'", "draw it larger")
    # As many pixels as a cell has, though nowhere as thick as one.
    mask[4:9, 4:17] = 1
    check_cells(mask, ("symphysis", "head"), 8, "mask 'x'", "draw it larger")


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


@pytest.mark.parametrize("touching", [False, True])
def test_a_sector_survives_as_a_polygon(touching):
    rows, columns = np.mgrid[:64, :64]
    angle, depth = np.arctan2(columns - 32, rows + 15), np.hypot(columns - 32, rows + 15)
    sector = (np.abs(angle) < 0.6) & (depth > 16) & (depth < (200 if touching else 70))
    back = sector_of(sector_polygon(sector), 64)
    assert (back & sector).sum() / (back | sector).sum() > 0.96
    assert len(sector_polygon(sector)) < 60


def test_a_mask_gets_a_sector_that_holds_it():
    left, right = np.zeros((2, 32, 32), bool)
    left[:, :18], right[:, 14:] = True, True
    masks = torch.zeros(2, 32, 32, dtype=torch.uint8)
    masks[0, 10:20, 2:10], masks[1, 10:20, 22:30] = 1, 1
    chosen = choose_sectors(
        masks, sector_bank([sector_polygon(left), sector_polygon(right)], 32), torch.Generator().manual_seed(0)
    )
    assert chosen[0, 16, 4] and not chosen[0, 16, 28]
    assert chosen[1, 16, 28] and not chosen[1, 16, 4]
    assert choose_sectors(masks, sector_bank([], 32), None).all()
