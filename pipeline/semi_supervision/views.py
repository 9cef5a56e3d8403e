"""Images without labels, as they are given to a network: weakly augmented, and strongly on top of it."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from pipeline.config.augmentation import Augment, StrongAugment
from pipeline.imaging.augment import augment, degrade, recolour
from pipeline.imaging.letterbox import to_unit_range


@dataclass(frozen=True)
class UnlabelledImages:
    """Images in memory.

    images: uint8 (N, H, W).
    masks: uint8 (N, H, W), class indices; pseudo-masks, or of simulated images the truth, which nothing learns from;
        None where there are none.
    weak: the augmentation of labelled images. strong: its grey levels, noise, blur and resolution come on top of the
        weak view, whose geometry stays.
    """

    images: np.ndarray
    masks: np.ndarray | None
    weak: Augment
    strong: StrongAugment

    def __len__(self) -> int:
        return len(self.images)

    def draw(self, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Numbers int64 [B], weak views float [B, 1, H, W] in [-1, 1] and their masks uint8 [B, H, W] (0 for none)."""
        numbers = torch.randint(len(self), (count,), generator=generator)
        images = torch.from_numpy(to_unit_range(self.images[numbers.numpy()])[:, None])
        masks = torch.zeros(count, *images.shape[2:], dtype=torch.uint8)
        if self.masks is not None:
            masks = torch.from_numpy(self.masks[numbers.numpy()])
        return numbers, *augment(images, masks, self.weak, generator)

    def strengthen(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """A strong view of weak views, float [B, 1, H, W]."""
        return degrade(recolour(images, self.strong, generator), self.strong, generator)


def rectangles(count: int, shape: tuple[int, int], share: float, generator: torch.Generator) -> Tensor:
    """bool [B, H, W] of a ``shape``, one rectangle in a ``share`` of them: between 2 and 40 % of the area, between 0.3
    and 1 / 0.3 as wide as high, as in UniMatch's CutMix."""
    drawn = torch.rand(count, 5, generator=generator, dtype=torch.float64)
    rows, columns = shape
    area = (0.02 + 0.38 * drawn[:, 0]) * (rows * columns)
    aspect = torch.exp((2 * drawn[:, 1] - 1) * -np.log(0.3))
    height, width = (area * (1 / aspect)).sqrt().clamp(max=rows), (area * aspect).sqrt().clamp(max=columns)
    top, left = drawn[:, 2] * (rows - height), drawn[:, 3] * (columns - width)
    down, along = torch.arange(rows) + 0.5, torch.arange(columns) + 0.5
    high = (down >= top[:, None]) & (down < (top + height)[:, None])
    wide = (along >= left[:, None]) & (along < (left + width)[:, None])
    return high[:, :, None] & wide[:, None, :] & (drawn[:, 4] < share)[:, None, None]
