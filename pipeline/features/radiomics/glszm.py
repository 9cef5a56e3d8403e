"""Grey-level size-zone matrix (Thibault et al., 2009; IBSI, section 3.8)."""

import numpy as np
from skimage.measure import label

from pipeline.features.radiomics import size_matrices

NAMES = (
    "small_zone_emphasis",
    "large_zone_emphasis",
    "low_grey_level_zone_emphasis",
    "high_grey_level_zone_emphasis",
    "small_zone_low_grey_level_emphasis",
    "small_zone_high_grey_level_emphasis",
    "large_zone_low_grey_level_emphasis",
    "large_zone_high_grey_level_emphasis",
    "grey_level_non_uniformity",
    "grey_level_non_uniformity_normalised",
    "zone_size_non_uniformity",
    "zone_size_non_uniformity_normalised",
    "zone_percentage",
    "grey_level_variance",
    "zone_size_variance",
    "zone_size_entropy",
)


def features(levels: np.ndarray, count: int) -> np.ndarray:
    """float64 (16,) of levels (H, W), from 1 in the region and 0 outside it, named by ``NAMES``; all have values."""
    return size_matrices.features(*zones(levels), np.count_nonzero(levels))


def zones(levels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Grey level and number of pixels of every zone: 8-connected pixels of one level."""
    labels = label(levels, background=0, connectivity=2)
    sizes = np.bincount(labels.ravel())
    level = np.zeros(len(sizes), dtype=levels.dtype)
    level[labels] = levels
    return level[1:], sizes[1:]
