"""Cases as arrays of one size, letter-boxed: what networks are given."""

from collections.abc import Sequence

import numpy as np
from PIL import Image

from pipeline.data.case import Case
from pipeline.imaging.letterbox import letterbox, to_unit_range


def stack_images(cases: Sequence[Case], size: int) -> np.ndarray:
    """float32 (N, 1, size, size) in [-1, 1]."""
    images = np.stack([letterbox(case.image, size)[0] for case in cases])
    return to_unit_range(images)[:, None]


def stack_masks(cases: Sequence[Case], size: int) -> np.ndarray:
    """uint8 (N, size, size), class indices."""
    return np.stack([letterbox(case.mask, size, mask=True)[0] for case in cases])


def at_size(case: Case, size: int, found: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Image and mask of a case with a longer side of ``size`` pixels, without padding.

    Args:
        found: square class map in model space, which stands for a mask that is not there.
    """
    image, box = letterbox(case.image, size)
    if case.mask is None:
        mask = np.asarray(Image.fromarray(found).resize((size, size), Image.Resampling.NEAREST))
    else:
        mask, _ = letterbox(case.mask, size, mask=True)
    return np.ascontiguousarray(box.crop(image)), box.crop(mask)
