"""Cases as arrays of one size, letter-boxed: what networks are given.

A ``size`` is the edge of a square canvas, or (height, width).
"""

from collections.abc import Sequence

import numpy as np
from PIL import Image

from pipeline.data.case import Case
from pipeline.imaging.canvas import sides
from pipeline.imaging.letterbox import letterbox, to_unit_range


def stack_images(cases: Sequence[Case], size: int | tuple[int, int]) -> np.ndarray:
    """float32 (N, 1, height, width) in [-1, 1]."""
    images = np.stack([letterbox(case.image, size)[0] for case in cases])
    return to_unit_range(images)[:, None]


def stack_masks(cases: Sequence[Case], size: int | tuple[int, int]) -> np.ndarray:
    """uint8 (N, height, width), class indices."""
    return np.stack([letterbox(case.mask, size, mask=True)[0] for case in cases])


def at_size(case: Case, size: int | tuple[int, int], found: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Image and mask of a case as they fill a canvas, without its padding.

    Args:
        found: class map of a canvas of the same shape, which stands for a mask that is not there.
    """
    image, box = letterbox(case.image, size)
    if case.mask is None:
        mask = np.asarray(Image.fromarray(found).resize(sides(size)[::-1], Image.Resampling.NEAREST))
    else:
        mask, _ = letterbox(case.mask, size, mask=True)
    return np.ascontiguousarray(box.crop(image)), box.crop(mask)
