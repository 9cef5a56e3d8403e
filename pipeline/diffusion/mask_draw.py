"""A mask to sample an image from, with the canvas and the field of view it lives in."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from pipeline.data.case import Case
from pipeline.imaging.letterbox import Letterbox


@dataclass(frozen=True)
class MaskDraw:
    """A mask to sample from.

    mask: uint8 (S, S), class indices. box: the canvas it lives in. sector: bool (S, S), the field of view.
    template: the label case that canvas and sector are of; None outside a label budget.
    pixel_mm: edge of a canvas pixel in millimetres, where known. source, transform: columns of the dataset.
    """

    mask: np.ndarray
    box: Letterbox
    sector: np.ndarray
    source: str
    transform: str
    template: Case | None = None
    pixel_mm: float | None = None


def stacked(draws: Sequence[MaskDraw]) -> tuple[Tensor, Tensor]:
    """Masks uint8 [B, S, S] and sectors bool [B, S, S]."""
    return tuple(torch.from_numpy(np.stack([getattr(draw, part) for draw in draws])) for part in ("mask", "sector"))
