"""What the denoiser is told: the sector and the structures as planes, the augmentation and the appearance as numbers.

Per structure there is one ±1 plane and one soft signed distance. Class indices scaled by 1/255 become 0.004 and are
ignored by the network; ±1 planes are not. The distance tells every cell how far the boundary is, which a small network
could otherwise only learn through depth. On a grid coarser than the image each plane is the mean over parts of a cell:
where a boundary crosses a part, both the covered share and the mean distance say where, to a fraction of a pixel.
Planes of zeros mean "mask unknown": training drops masks at random so that guidance has its reference.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor
from torch.nn import functional

from pipeline.run.errors import InputError

DISTANCE_SCALE = 0.15
"""Distances saturate over about this share of the image size."""
PARTS = 2
"""Parts of a cell along an edge, at the most."""


@dataclass(frozen=True)
class Condition:
    """Which channels there are, in this order: sector, structures, distances, each ``parts``² times, then numbers.

    factor: pixels along a cell of the grid that the channels are for; 1 for the image's own.
    numbers: how many numbers are told, each as a constant channel.
    """

    n_structures: int
    factor: int = 1
    numbers: int = 0

    @property
    def parts(self) -> int:
        return min(self.factor, PARTS)

    @property
    def n_planes(self) -> int:
        return (1 + 2 * self.n_structures) * self.parts**2

    @property
    def n_channels(self) -> int:
        return self.n_planes + self.numbers

    def planes(self, masks: Tensor, sectors: Tensor) -> Tensor:
        """float32 [B, n_planes, S/factor, S/factor] in [-1, 1], on the CPU.

        Args:
            masks: integer [B, S, S], class indices 0..n_structures.
            sectors: bool [B, S, S], the fields of view.
        """
        indices, size = masks.cpu().numpy(), masks.shape[-1]
        inside = np.stack([indices == k + 1 for k in range(self.n_structures)], axis=1)
        distance = np.stack([[signed_distance(plane) for plane in of_one_case] for of_one_case in inside])
        soft = np.tanh(distance / (DISTANCE_SCALE * size))
        maps = np.concatenate([sectors.cpu().numpy()[:, None] * 2.0 - 1, inside * 2.0 - 1, soft], axis=1)
        parts = functional.avg_pool2d(torch.from_numpy(maps.astype(np.float32)), self.factor // self.parts)
        return functional.pixel_unshuffle(parts, self.parts)

    def channels(self, planes: Tensor, numbers: Tensor | None = None) -> Tensor:
        """float32 [B, n_channels, s, s]: planes [B, n_planes, s, s], and numbers [B, N], zeros where there are none."""
        if numbers is None:
            numbers = planes.new_zeros(len(planes), self.numbers)
        filled = numbers[:, :, None, None].expand(-1, -1, *planes.shape[-2:])
        return torch.cat([planes, filled.to(planes)], dim=1)

    def without_mask(self, channels: Tensor) -> Tensor:
        """The same channels with the masks unknown; all else stays."""
        null = channels.clone()
        null[:, self.parts**2 : self.n_planes] = 0
        return null


def check_cells(mask: np.ndarray, structures: Sequence[str], factor: int, what: str, remedy: str) -> None:
    """Raise InputError where a structure of a mask, uint8 (S, S), is there and smaller than a cell of the grid.

    Args:
        structures: names, in class order. factor: pixels along a cell. what, remedy: for the message.
    """
    for k, area in below_a_cell(mask, len(structures), factor).items():
        raise InputError(
            f"{what}: {structures[k - 1]} covers {area} pixels at {len(mask)} px, less than a cell of the generator's "
            f"code ({factor} x {factor}); {remedy}"
        )


def below_a_cell(mask: np.ndarray, n_structures: int, factor: int) -> dict[int, int]:
    """Class index → pixels of every structure of a mask, integer (S, S), that is there and smaller than a cell."""
    areas = np.bincount(mask.ravel(), minlength=n_structures + 1)
    return {k: int(areas[k]) for k in range(1, n_structures + 1) if 0 < areas[k] < factor**2}


def signed_distance(inside: np.ndarray) -> np.ndarray:
    """Euclidean distance in pixels to the boundary, positive inside; an absent structure is far everywhere."""
    if not inside.any():
        return np.full(inside.shape, -float(max(inside.shape)))
    return ndimage.distance_transform_edt(inside) - ndimage.distance_transform_edt(~inside)
