"""Cases as arrays of one size, letter-boxed: what networks are given."""

from collections.abc import Sequence

import numpy as np

from pipeline.data.case import Case
from pipeline.imaging.letterbox import letterbox, to_unit_range


def stack_images(cases: Sequence[Case], size: int) -> np.ndarray:
    """float32 (N, 1, size, size) in [-1, 1]."""
    images = np.stack([letterbox(case.image, size)[0] for case in cases])
    return to_unit_range(images)[:, None]


def stack_masks(cases: Sequence[Case], size: int) -> np.ndarray:
    """uint8 (N, size, size), class indices."""
    return np.stack([letterbox(case.mask, size, mask=True)[0] for case in cases])
