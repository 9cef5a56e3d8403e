"""Moments of a region's area: where it lies, how far it reaches, which way it points."""

import numpy as np

# Second moment about its own centre of a pixel of edge 1, along either axis.
_PIXEL_VARIANCE = 1 / 12


def area_moments(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Centre of mass (row, column) and covariance (2, 2) of a bool [H, W] mask that is not empty, in pixels.

    Pixels are squares of area 1 around their index: one alone has a covariance of 1/12 along either axis.
    """
    weights = mask.astype(np.float64)
    by_row, by_column = weights.sum(axis=1), weights.sum(axis=0)
    area = by_row.sum()
    y, x = np.arange(mask.shape[0], dtype=np.float64), np.arange(mask.shape[1], dtype=np.float64)
    centre = np.array([by_row @ y, by_column @ x]) / area
    # Coordinates from the centre of mass keep the sums small.
    y, x = y - centre[0], x - centre[1]
    mixed = y @ weights @ x
    covariance = np.array([[by_row @ y**2, mixed], [mixed, by_column @ x**2]]) / area
    return centre, covariance + _PIXEL_VARIANCE * np.eye(2)
