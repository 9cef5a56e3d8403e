"""The angle of progression, and the direction of the head."""

import math

import numpy as np

from pipeline.imaging.moments import area_moments
from pipeline.tasks.segmentation.biometry.symphysis import Axis, HeadSide

ROUND_HEAD = 0.9
"""From this ratio of the shorter axis to the longer the long axis of the head means nothing."""


def hull_of(contour: np.ndarray) -> np.ndarray:
    """Corners of the convex hull of float (N, 2) points that are not on one line, in order: float (M, 2)."""
    from scipy.spatial import ConvexHull

    return contour[ConvexHull(contour).vertices]


def middle_of(hull: np.ndarray) -> np.ndarray:
    """Centre of the area of a convex polygon, float (M, 2) in order: float (2,). It lies inside."""
    corner, one, other = hull[0], hull[1:-1] - hull[0], hull[2:] - hull[0]
    areas = one[:, 0] * other[:, 1] - one[:, 1] * other[:, 0]
    return corner + areas @ (one + other) / (3 * areas.sum())


def area_of(polygon: np.ndarray) -> float:
    """Area of a closed polygon, float (N, 2), in pixels."""
    (x, y), (next_x, next_y) = polygon.T, np.roll(polygon, -1, axis=0).T
    return abs(float(x @ next_y - y @ next_x)) / 2


def is_inside(point: np.ndarray, hull: np.ndarray) -> bool:
    """Whether a point lies in a convex polygon, float (M, 2) in order, or on its rim."""
    edges, offsets = np.roll(hull, -1, axis=0) - hull, point - hull
    turns = edges[:, 0] * offsets[:, 1] - edges[:, 1] * offsets[:, 0]
    return bool((turns >= 0).all() or (turns <= 0).all())


def angle_from_axis(axis: Axis, vectors: np.ndarray, head_side: HeadSide) -> np.ndarray:
    """Radians in (-π, π] from the axis (inferior → superior) to vectors (..., 2), positive on the side of the head."""
    return np.arctan2(vectors @ axis.towards_head(head_side), vectors @ axis.direction)


def angle_of_progression(axis: Axis, hull: np.ndarray, head_side: HeadSide) -> tuple[float, np.ndarray]:
    """The angle in degrees, and where its tangent touches the head, float (2,).

    Barbera et al., Ultrasound Obstet Gynecol 2009: at the inferior end of the symphysis, between its long axis and the
    tangent to the leading part of the skull. Of the two tangents that is the one farther from the axis. It is above
    180 degrees where the tangent has passed the extension of the axis.

    Args:
        hull: corners of the head's convex hull, float (M, 2) in order; outside of it lies the inferior end, and on the
            head's side of the axis its middle. The angle is between 0 and 360 degrees then.
    """
    vectors = hull - axis.inferior
    # Seen from outside a convex shape spans less than 180 degrees, so angles from its middle never wrap; that of the
    # middle itself is between 0 and 180 degrees.
    middle = float(angle_from_axis(axis, middle_of(hull) - axis.inferior, head_side))
    beyond = np.remainder(angle_from_axis(axis, vectors, head_side) - middle + math.pi, 2 * math.pi) - math.pi
    far = int(beyond.argmax())
    return math.degrees(middle + beyond[far]), hull[far]


def head_direction(axis: Axis, head: np.ndarray, head_side: HeadSide) -> float | None:
    """Degrees in [-90, 90) from the infrapubic line to the long axis of the head, positive where the head points up.

    The infrapubic line is perpendicular to the axis at its inferior end. ISUOG Practice Guidelines: intrapartum
    ultrasound, 2018, after Henrich et al. 2006: below 0 is head down, 0 to 30 horizontal, above 30 head up. None where
    the head is too round to point anywhere.

    Args:
        head: bool [H, W], one component.
    """
    variances, vectors = np.linalg.eigh(area_moments(head)[1])
    if math.sqrt(max(variances[0], 0)) > ROUND_HEAD * math.sqrt(variances[1]):
        return None
    turned = math.degrees(float(angle_from_axis(axis, vectors[::-1, 1], head_side)))
    return turned % 180 - 90
