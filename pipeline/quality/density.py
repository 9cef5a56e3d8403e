"""Density and coverage: precision and recall that a few outliers cannot inflate (Naeem et al. 2020).

Both count candidates in balls around reference images. A ball around an outlier is large and makes anything in it
precise; density counts how many balls hold a candidate instead of whether one does. Coverage puts the balls of recall
around reference images, where a few odd candidates cannot stretch them.
"""

import numpy as np
from scipy.spatial.distance import cdist


def density_coverage(inside: np.ndarray, neighbours: int) -> tuple[float, float]:
    """Equations 3 and 4 of Naeem et al. 2020.

    Args:
        inside: bool (N, M) of :func:`inside_balls`: N candidates, balls around M reference images.
        neighbours: k; the ball of a reference image reaches to its k-th nearest other one.

    Returns:
        density: at least 0, unbounded, expected to be 1 for two samples of one distribution.
        coverage: in [0, 1], expected to be 1 - Π (M-i)/(N+M-i) over i from 1 to k for these.
    """
    return float(inside.sum() / (neighbours * len(inside))), float(inside.any(axis=0).mean())


def ball_radii(points: np.ndarray, neighbours: int) -> np.ndarray:
    """float (N,): distance of each of (N, D) points to its ``neighbours``-th nearest other point."""
    return np.partition(cdist(points, points), neighbours, axis=1)[:, neighbours]


def inside_balls(points: np.ndarray, centres: np.ndarray, neighbours: int) -> np.ndarray:
    """bool (N, M): whether a point (N, D) lies in the open ball of a centre (M, D), M above ``neighbours``.

    Open, as in the authors' code: of a set in its own balls the density is 1.
    """
    return cdist(points, centres) < ball_radii(centres, neighbours)
