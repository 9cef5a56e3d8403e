"""The four directions of the plane, and how features of one matrix a direction become features of a region."""

from typing import Literal

import numpy as np

Merging = Literal["average", "combine"]
"""``average``: features of the matrix of every direction, and their mean (IBSI's 2D_avg, the default). ``combine``:
features of the sum of the matrices (2D_comb)."""


def neighbours(values: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Views of (H, W), two a direction: pixels, and those that follow them along 0°, 45°, 90° and 135°.

    Every unordered pair of the eight-neighbourhood occurs once.
    """
    return [
        (values[:, :-1], values[:, 1:]),
        (values[1:, :-1], values[:-1, 1:]),
        (values[:-1], values[1:]),
        (values[:-1, :-1], values[1:, 1:]),
    ]


def average(found: list[np.ndarray], width: int) -> np.ndarray:
    """Mean of features over the directions that have any, float (width,); nan where none has."""
    return np.mean(found, axis=0) if found else np.full(width, np.nan)
