"""What the denoiser is told, as planes: the sector, the structures, and the augmentation that was applied.

Per structure there is one ±1 plane and one soft signed distance. Class indices scaled by 1/255 become 0.004 and are
ignored by the network; ±1 planes are not. The distance tells every pixel how far the boundary is, which a small
network could otherwise only learn through depth. Mask planes of zeros mean "mask unknown": training drops masks at
random so that guidance has its reference. Every number of the augmentation fills a plane of its own; zero is none.
"""

from dataclasses import dataclass

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

DISTANCE_SCALE = 0.15
"""Distances saturate over about this share of the image size."""


@dataclass(frozen=True)
class Condition:
    """Which planes there are, in this order: sector, structures, distances, augmentation.

    augmentation: length of the augmentation vector (0: not told).
    """

    n_structures: int
    augmentation: int = 0

    @property
    def n_planes(self) -> int:
        return 1 + 2 * self.n_structures + self.augmentation

    def planes(self, masks: Tensor, sectors: Tensor, changes: Tensor | None = None) -> Tensor:
        """float32 [B, n_planes, S, S] on the CPU.

        Args:
            masks: integer [B, S, S], class indices 0..n_structures.
            sectors: bool [B, S, S], the fields of view.
            changes: float [B, N], the augmentation that was applied; None for none. Read where it is told.
        """
        count, size = masks.shape[0], masks.shape[-1]
        indices = masks.cpu().numpy()
        inside = np.stack([indices == k + 1 for k in range(self.n_structures)], axis=1)
        distance = np.stack([[signed_distance(plane) for plane in of_one_case] for of_one_case in inside])
        soft = np.tanh(distance / (DISTANCE_SCALE * size))
        maps = np.concatenate([sectors.cpu().numpy()[:, None] * 2.0 - 1, inside * 2.0 - 1, soft], axis=1)
        told = changes if self.augmentation and changes is not None else torch.zeros(count, self.augmentation)
        filled = told[:, :, None, None].expand(-1, -1, size, size)
        return torch.cat([torch.from_numpy(maps.astype(np.float32)), filled], dim=1)

    def without_mask(self, planes: Tensor) -> Tensor:
        """The same planes with the masks unknown; all else stays."""
        null = planes.clone()
        null[:, 1 : 1 + 2 * self.n_structures] = 0
        return null


def signed_distance(inside: np.ndarray) -> np.ndarray:
    """Euclidean distance in pixels to the boundary, positive inside; an absent structure is far everywhere."""
    if not inside.any():
        return np.full(inside.shape, -float(max(inside.shape)))
    return ndimage.distance_transform_edt(inside) - ndimage.distance_transform_edt(~inside)
