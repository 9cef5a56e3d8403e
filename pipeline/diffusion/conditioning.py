"""What the denoiser is told, as planes: the sector, the structures, and constants such as the augmentation.

Per structure there is one ±1 plane and one soft signed distance. Class indices scaled by 1/255 become 0.004 and are
ignored by the network; ±1 planes are not. The distance tells every pixel how far the boundary is, which a small
network could otherwise only learn through depth. Mask planes of zeros mean "mask unknown": training drops masks at
random so that guidance has its reference. Constants (the augmentation that was applied, the pixel size, the device)
fill planes of their own; zero means none, or unknown.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

DISTANCE_SCALE = 0.15
"""Distances saturate over about this share of the image size."""

REFERENCE_MM = 2.5
"""Pixel sizes are told as ln(pixel / this); at 64 px a fetal-head image has pixels of about 1.5 to 4 mm."""


@dataclass(frozen=True)
class Condition:
    """Which planes there are, in this order: sector, structures, distances, augmentation, pixel size, devices.

    augmentation: length of the augmentation vector (0: not told).
    devices: names of the devices seen in training; one plane each.
    """

    n_structures: int
    augmentation: int = 0
    pixel_size: bool = False
    devices: tuple[str, ...] = ()

    @property
    def n_constants(self) -> int:
        return self.augmentation + 2 * self.pixel_size + len(self.devices)

    @property
    def n_planes(self) -> int:
        return 1 + 2 * self.n_structures + self.n_constants

    def constants(
        self,
        count: int,
        *,
        augmentation: Tensor | None = None,
        pixel_mm: Sequence[float | None] | None = None,
        devices: Sequence[str | None] | None = None,
    ) -> Tensor:
        """float32 [count, n_constants]; what is not given, not known or was never seen in training is zero.

        Args:
            augmentation: float [count, augmentation].
            pixel_mm: edge of a pixel of the model's canvas in millimetres.
            devices: names.
        """
        values = torch.zeros(count, self.n_constants)
        if self.augmentation and augmentation is not None:
            values[:, : self.augmentation] = augmentation
        if self.pixel_size and pixel_mm is not None:
            # With a flag beside it: a logarithm of zero is a size, not an unknown one.
            known = [(np.log(mm / REFERENCE_MM), 1.0) if mm else (0.0, 0.0) for mm in pixel_mm]
            values[:, self.augmentation : self.augmentation + 2] = torch.tensor(known, dtype=torch.float32)
        for i, device in enumerate(devices or ()):
            if device in self.devices:
                values[i, self.augmentation + 2 * self.pixel_size + self.devices.index(device)] = 1.0
        return values

    def planes(self, masks: Tensor, sectors: Tensor, constants: Tensor | None = None) -> Tensor:
        """float32 [B, n_planes, S, S] on the CPU.

        Args:
            masks: integer [B, S, S], class indices 0..n_structures.
            sectors: bool [B, S, S], the fields of view.
            constants: float [B, n_constants]; zeros when not given.
        """
        count, size = masks.shape[0], masks.shape[-1]
        indices = masks.cpu().numpy()
        inside = np.stack([indices == k + 1 for k in range(self.n_structures)], axis=1)
        distance = np.stack([[signed_distance(plane) for plane in of_one_case] for of_one_case in inside])
        soft = np.tanh(distance / (DISTANCE_SCALE * size))
        maps = np.concatenate([sectors.cpu().numpy()[:, None] * 2.0 - 1, inside * 2.0 - 1, soft], axis=1)
        constants = torch.zeros(count, self.n_constants) if constants is None else constants
        filled = constants[:, :, None, None].expand(-1, -1, size, size)
        return torch.cat([torch.from_numpy(maps.astype(np.float32)), filled], dim=1)

    def without_mask(self, planes: Tensor) -> Tensor:
        """The same planes with the masks unknown; the sector and the constants stay."""
        null = planes.clone()
        null[:, 1 : 1 + 2 * self.n_structures] = 0
        return null


def signed_distance(inside: np.ndarray) -> np.ndarray:
    """Euclidean distance in pixels to the boundary, positive inside; an absent structure is far everywhere."""
    if not inside.any():
        return np.full(inside.shape, -float(max(inside.shape)))
    return ndimage.distance_transform_edt(inside) - ndimage.distance_transform_edt(~inside)
