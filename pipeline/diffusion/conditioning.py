"""What the denoiser is told: the sector, and per structure one ±1 plane and one soft signed distance.

Class indices scaled by 1/255 become 0.004 and are ignored by the network; ±1 planes are not. The distance tells
every pixel how far the boundary is, which a small network could otherwise only learn through depth.
Mask planes of zeros mean "mask unknown": training drops masks at random so that guidance has its reference.
"""

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

DISTANCE_SCALE = 0.15
"""Distances saturate over about this share of the image size."""


def n_planes(n_structures: int) -> int:
    return 1 + 2 * n_structures


def condition(masks: Tensor, sectors: Tensor, n_structures: int) -> Tensor:
    """Planes for masks and sectors.

    Args:
        masks: integer [B, S, S], class indices 0..n_structures.
        sectors: bool [B, S, S], the fields of view.

    Returns:
        float32 [B, 1 + 2 * n_structures, S, S] in [-1, 1] on the CPU: the sector (±1), the structures (±1), their
        distances (positive inside).
    """
    size = masks.shape[-1]
    inside = np.stack([(masks.cpu().numpy() == k + 1) for k in range(n_structures)], axis=1)
    distance = np.stack([[signed_distance(plane) for plane in of_one_case] for of_one_case in inside])
    soft = np.tanh(distance / (DISTANCE_SCALE * size))
    planes = np.concatenate([sectors.cpu().numpy()[:, None] * 2.0 - 1, inside * 2.0 - 1, soft], axis=1)
    return torch.from_numpy(planes.astype(np.float32))


def without_mask(planes: Tensor) -> Tensor:
    """The same planes [B, P, S, S] with the mask unknown; the sector stays."""
    null = torch.zeros_like(planes)
    null[:, :1] = planes[:, :1]
    return null


def signed_distance(inside: np.ndarray) -> np.ndarray:
    """Euclidean distance in pixels to the boundary, positive inside; an absent structure is far everywhere."""
    if not inside.any():
        return np.full(inside.shape, -float(max(inside.shape)))
    return ndimage.distance_transform_edt(inside) - ndimage.distance_transform_edt(~inside)
