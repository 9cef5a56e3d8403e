"""Distances between two masks."""

import math

import numpy as np

from pipeline.imaging.moments import bounding_window
from pipeline.imaging.outline import outline


def surface_scores(a: np.ndarray, b: np.ndarray) -> tuple[float, float]:
    """HD95 and ASSD in pixels of two bool [H, W] masks; the image diagonal where one is empty, 0 where both are.

    Surfaces are a mask's pixels with a 4-neighbour outside it (or on the rim of the image), as in MONAI, whose
    definitions these are; each directed distance is computed once for both scores.
    """
    if not (a.any() and b.any()):
        worst = math.hypot(*a.shape) if a.any() or b.any() else 0.0
        return worst, worst
    window = bounding_window(a | b)
    points_a, points_b = np.argwhere(outline(a[window])), np.argwhere(outline(b[window]))
    to_b, to_a = nearest(points_a, points_b), nearest(points_b, points_a)
    hd95 = max(np.percentile(to_b, 95), np.percentile(to_a, 95))
    assd = (to_b.sum() + to_a.sum()) / (to_b.size + to_a.size)
    return float(hd95), float(assd)


def hausdorff_distance(a: np.ndarray, b: np.ndarray) -> float:
    """Hausdorff distance in pixels of two bool [H, W] regions; the image diagonal where one is empty, 0 where both are.

    The largest distance from a pixel of one region to the other region, as in SimpleITK and the PSFHS challenge: a hole
    in one of them counts with its own size, not with its distance from an outline.
    """
    if not (a.any() and b.any()):
        return math.hypot(*a.shape) if a.any() or b.any() else 0.0
    window = bounding_window(a | b)
    a, b = a[window], b[window]
    pairs = [(np.argwhere(one & ~other), np.argwhere(outline(other))) for one, other in ((a, b), (b, a))]
    return float(max(nearest(points, targets).max(initial=0) for points, targets in pairs))


def nearest(points: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Euclidean distance of each of (N, 2) points to the nearest of (M, 2) targets: float (N,)."""
    from scipy.spatial import cKDTree

    # A tree over an outline's two thousand pixels is many times faster than a distance map of the whole image.
    return cKDTree(targets).query(points)[0]
