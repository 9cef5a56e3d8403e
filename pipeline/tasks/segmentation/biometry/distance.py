"""The head-symphysis distance, in both definitions that are in use."""

import numpy as np

from pipeline.tasks.segmentation.biometry.symphysis import Axis, HeadSide


def shortest_distance(point: np.ndarray, contour: np.ndarray) -> tuple[float, np.ndarray]:
    """Distance in pixels from a point to a closed polygon, float (N, 2), and the point of it that is nearest."""
    starts, edges = contour, np.roll(contour, -1, axis=0) - contour
    squares = (edges**2).sum(axis=1)
    along = ((point - starts) * edges).sum(axis=1) / np.where(squares > 0, squares, 1)
    feet = starts + np.clip(along, 0, 1)[:, None] * edges
    distances = np.linalg.norm(feet - point, axis=1)
    place = int(distances.argmin())
    return float(distances[place]), feet[place]


def infrapubic_distance(axis: Axis, contour: np.ndarray, head_side: HeadSide) -> tuple[float, np.ndarray] | None:
    """Distance in pixels from the inferior end to the head along the infrapubic line, and where that line meets it.

    The line is perpendicular to the axis at its inferior end (Youssef et al., Ultrasound Obstet Gynecol 2013). None
    where it does not meet the head.

    Args:
        contour: closed polygon, float (N, 2).
    """
    ray = axis.towards_head(head_side)
    offsets = contour - axis.inferior
    across, along = offsets @ axis.direction, offsets @ ray
    next_across, next_along = np.roll(across, -1), np.roll(along, -1)
    crossing = (across <= 0) != (next_across <= 0)
    span = np.where(crossing, across - next_across, 1)
    reach = along + across / span * (next_along - along)
    met = reach[crossing & (reach >= 0)]
    if not met.size:
        return None
    return float(met.min()), axis.inferior + met.min() * ray
