"""Random flips and light affine maps of a batch, applied to image and mask together."""

import torch
from torch import Tensor
from torch.nn import functional


def random_affine(
    images: Tensor,
    masks: Tensor,
    generator: torch.Generator,
    *,
    flip: bool,
    rotate_deg: float,
    scale: float,
    shift: float,
) -> tuple[Tensor, Tensor]:
    """Each sample gets its own map: left-right flip, rotation in ±rotate_deg, log-scale in ±scale, shift in ±shift.

    Args:
        images: float [B, C, S, S] in [-1, 1], resampled bilinearly, -1 (black) outside.
        masks: integer [B, S, S], resampled by nearest neighbour, 0 outside.
        generator: a CPU generator.
        shift: share of the image size.
    """
    count = len(images)
    uniform = torch.rand(count, 5, generator=generator) * 2 - 1
    angle = torch.deg2rad(uniform[:, 0] * rotate_deg)
    zoom = torch.exp(uniform[:, 1] * scale)
    mirror = torch.where(uniform[:, 4] < 0, -1.0, 1.0) if flip else torch.ones(count)
    cos, sin = torch.cos(angle) / zoom, torch.sin(angle) / zoom
    theta = torch.stack(
        [
            torch.stack([cos * mirror, -sin, uniform[:, 2] * 2 * shift], dim=1),
            torch.stack([sin * mirror, cos, uniform[:, 3] * 2 * shift], dim=1),
        ],
        dim=1,
    ).to(images.device)
    grid = functional.affine_grid(theta, list(images.shape), align_corners=False)
    # +1 so that the zero padding of grid_sample is black.
    warped = functional.grid_sample(images + 1, grid, align_corners=False) - 1
    planes = functional.grid_sample(masks[:, None].float(), grid, mode="nearest", align_corners=False)
    return warped, planes[:, 0].to(masks.dtype)
