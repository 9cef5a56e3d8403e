"""Random flips and light affine maps of a batch, applied to image and mask together."""

import torch
from torch import Generator, Tensor
from torch.nn import functional


def random_affine(
    images: Tensor, masks: Tensor, generator: Generator, *, flip: bool, rotate_deg: float, scale: float, shift: float
) -> tuple[Tensor, Tensor]:
    """Each sample gets its own map: left-right flip, rotation in ±rotate_deg, log-scale in ±scale, shift in ±shift.

    Args:
        images: float [B, C, H, W] in [-1, 1], resampled bilinearly, -1 (black) outside.
        masks: integer [B, H, W], resampled by nearest neighbour, 0 outside.
        generator: a CPU generator.
        shift: share of the height and of the width.
    """
    count = len(images)
    uniform = torch.rand(count, 5, generator=generator) * 2 - 1
    angle, log_scale, mirror = torch.deg2rad(uniform[:, 0] * rotate_deg), uniform[:, 1] * scale, uniform[:, 4] < 0
    theta = affine_matrix(angle, log_scale, torch.zeros(count), uniform[:, 2:4] * shift, mirror & flip)
    return apply_affine(images, masks, theta)


def affine_matrix(angle: Tensor, log_scale: Tensor, log_aspect: Tensor, shift: Tensor, mirror: Tensor) -> Tensor:
    """float [B, 2, 3] for :func:`apply_affine`: where each output pixel is read from.

    Args:
        angle: radians [B].
        log_scale, log_aspect: [B]; the width grows by exp(log_scale + log_aspect / 2), the height by
            exp(log_scale - log_aspect / 2).
        shift: [B, 2], of the sampling point along x and y, shares of width and height.
        mirror: bool [B], left-right.
    """
    sign = torch.where(mirror, -1.0, 1.0)
    cos, sin = torch.cos(angle), torch.sin(angle)
    width, height = torch.exp(log_scale + log_aspect / 2), torch.exp(log_scale - log_aspect / 2)
    along_x = [cos * sign / width, -sin / height, 2 * shift[:, 0]]
    along_y = [sin * sign / width, cos / height, 2 * shift[:, 1]]
    return torch.stack([*along_x, *along_y], dim=1).unflatten(1, (2, 3))


def apply_affine(images: Tensor, masks: Tensor, theta: Tensor) -> tuple[Tensor, Tensor]:
    """Resample images (bilinear, black outside) and masks (nearest, 0 outside) through maps [B, 2, 3].

    Maps are those of a square canvas: on another one a rotation turns pixels, whatever the ratio of the sides.
    """
    height, width = images.shape[-2:]
    # affine_grid counts half heights and half widths, which differ on such a canvas.
    theta = theta * theta.new_tensor([[1, height / width, 1], [width / height, 1, 1]])
    grid = functional.affine_grid(theta.to(images.device), list(images.shape), align_corners=False)
    # +1 so that the zero padding of grid_sample is black.
    warped = functional.grid_sample(images + 1, grid, align_corners=False) - 1
    planes = functional.grid_sample(masks[:, None].float(), grid, mode="nearest", align_corners=False)
    return warped, planes[:, 0].to(masks.dtype)
