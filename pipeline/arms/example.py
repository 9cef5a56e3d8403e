"""One training example: what a segmenter sees of a case, at its own resolution."""

import numpy as np

from pipeline.data.case import Case
from pipeline.data.stacking import stack_images, stack_masks
from pipeline.imaging.letterbox import Letterbox

Example = tuple[str, np.ndarray, np.ndarray]
"""Id, float32 image (1, S, S) in [-1, 1], uint8 mask (S, S)."""


def example(case: Case, size: int) -> Example:
    return case.id, stack_images([case], size)[0], stack_masks([case], size)[0]


def valid_area(case: Case, size: int) -> np.ndarray:
    """bool (size, size): where the canvas holds the case's image."""
    return Letterbox.fit(case.image.shape, size).valid(size)
