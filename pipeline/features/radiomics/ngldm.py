"""Neighbouring grey-level dependence matrix (Sun and Wee, 1983; IBSI, section 3.11): coarseness 0, distance 1.

PyRadiomics calls nearly the same GLDM.
"""

import numpy as np

from pipeline.features.radiomics import size_matrices
from pipeline.features.radiomics.directions import neighbours

NAMES = (
    "low_dependence_emphasis",
    "high_dependence_emphasis",
    "low_grey_level_count_emphasis",
    "high_grey_level_count_emphasis",
    "low_dependence_low_grey_level_emphasis",
    "low_dependence_high_grey_level_emphasis",
    "high_dependence_low_grey_level_emphasis",
    "high_dependence_high_grey_level_emphasis",
    "grey_level_non_uniformity",
    "grey_level_non_uniformity_normalised",
    "dependence_count_non_uniformity",
    "dependence_count_non_uniformity_normalised",
    "dependence_count_percentage",
    "grey_level_variance",
    "dependence_count_variance",
    "dependence_count_entropy",
    "dependence_count_energy",
)
_MOST = 9
"""A pixel and its eight neighbours."""


def features(levels: np.ndarray, count: int) -> np.ndarray:
    """float64 (17,) of levels (H, W), 1 to ``count`` and 0 outside the region, named by ``NAMES``; all have values."""
    inside = levels > 0
    level, dependence = levels[inside], dependences(levels)[inside]
    shares = np.bincount((_MOST + 1) * level.astype(np.intp) + dependence) / len(level)
    return np.append(size_matrices.features(level, dependence, len(level)), shares @ shares)


def dependences(levels: np.ndarray) -> np.ndarray:
    """uint8 (H, W): how many of a pixel and its eight neighbours have its level; without meaning where that is 0."""
    counts = np.ones(levels.shape, dtype=np.uint8)
    for (first, second), (counts_first, counts_second) in zip(neighbours(levels), neighbours(counts), strict=True):
        same = first == second
        counts_first += same
        counts_second += same
    return counts
