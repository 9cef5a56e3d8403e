"""Grey-level run-length matrix (Galloway, 1975; IBSI, section 3.7)."""

from collections.abc import Iterator

import numpy as np

from pipeline.features.radiomics import size_matrices
from pipeline.features.radiomics.directions import Merging, average

NAMES = (
    "short_runs_emphasis",
    "long_runs_emphasis",
    "low_grey_level_run_emphasis",
    "high_grey_level_run_emphasis",
    "short_run_low_grey_level_emphasis",
    "short_run_high_grey_level_emphasis",
    "long_run_low_grey_level_emphasis",
    "long_run_high_grey_level_emphasis",
    "grey_level_non_uniformity",
    "grey_level_non_uniformity_normalised",
    "run_length_non_uniformity",
    "run_length_non_uniformity_normalised",
    "run_percentage",
    "grey_level_variance",
    "run_length_variance",
    "run_entropy",
)


def features(levels: np.ndarray, count: int, merging: Merging = "average") -> np.ndarray:
    """float64 (16,) of levels (H, W), at least 1 in the region and 0 outside it, named by ``NAMES``.

    Every region has values: one pixel is a run of 1 in every direction.
    """
    pixels, found = np.count_nonzero(levels), list(runs(levels))
    if merging == "combine":
        return size_matrices.features(*(np.concatenate(each) for each in zip(*found, strict=True)), 4 * pixels)
    return average([size_matrices.features(*one, pixels) for one in found], len(NAMES))


def runs(levels: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Grey level and length of every run in the region, by direction: along rows, columns and both diagonals."""
    for lines in (levels, levels.T, _diagonals(levels), _diagonals(levels[:, ::-1])):
        # A column of zeros ends the last run of every line.
        row = np.pad(lines, ((0, 0), (0, 1))).ravel()
        starts = np.concatenate([[0], np.flatnonzero(row[1:] != row[:-1]) + 1])
        lengths, found = np.diff(starts, append=len(row)), row[starts]
        inside = found > 0
        yield found[inside], lengths[inside]


def _diagonals(levels: np.ndarray) -> np.ndarray:
    """(H + W - 1, H): the pixels whose row and column have one sum, in a line each; 0 where there is none."""
    height, width = levels.shape
    sheared = np.zeros((height, width + height), dtype=levels.dtype)
    sheared[:, :width] = levels
    # Read in lines one shorter, every row begins a pixel further to the right than the one above it.
    return sheared.ravel()[: height * (width + height - 1)].reshape(height, width + height - 1).T
