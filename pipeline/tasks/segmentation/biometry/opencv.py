"""What the challenges' evaluators take from OpenCV, after its published source: contours, polygons, ellipses.

OpenCV is no dependency: these are findContours (RETR_EXTERNAL, CHAIN_APPROX_NONE: Suzuki and Abe 1985),
approxPolyDP (Douglas and Peucker 1973, with OpenCV's start and clean-up) and fitEllipse (algebraic least squares in two
steps), in double precision where OpenCV rounds its results to single precision.
"""

import math
from typing import NamedTuple

import numpy as np

from pipeline.imaging.moments import bounding_window

_STEPS = ((1, 0), (1, -1), (0, -1), (-1, -1), (-1, 0), (-1, 1), (0, 1), (1, 1))
"""The eight neighbours as (x, y), y downwards, anticlockwise as displayed."""


class Ellipse(NamedTuple):
    """Centre (x, y), semi-axes along and across its long axis, and the direction of that axis in radians.

    Angles are from x towards y (clockwise as displayed), in [-π/2, π/2].
    """

    centre: np.ndarray
    long: float
    short: float
    angle: float


def external_contour(mask: np.ndarray) -> np.ndarray:
    """The external contour with the most points: int (N, 2) pixels as (x, y), in OpenCV's order. Empty for no pixel.

    Components are 8-connected, and those in the hole of another are passed over.

    Args:
        mask: bool [H, W].
    """
    from scipy import ndimage

    if not mask.any():
        return np.empty((0, 2), int)
    window = bounding_window(mask)
    labels, count = ndimage.label(ndimage.binary_fill_holes(mask[window]), np.ones((3, 3), int))
    # OpenCV lists the contours that it finds last first.
    traced = [_trace(labels == label) for label in range(count, 0, -1)]
    return max(traced, key=len) + np.array([window[1].start, window[0].start])


def _trace(mask: np.ndarray) -> np.ndarray:
    """The outer border of one component, from its first pixel in reading order."""
    padded = np.pad(mask, 1)
    filled, (y, x) = padded.tolist(), np.argwhere(padded)[0].tolist()
    first = (x, y)
    # Clockwise from the left neighbour, for the pixel from which the border arrives at the first one.
    arrivals = (turn for turn in (3, 2, 1, 0, 7, 6, 5) if filled[y + _STEPS[turn][1]][x + _STEPS[turn][0]])
    turn = next(arrivals, None)
    if turn is None:
        return np.array([[x - 1, y - 1]])
    last = (x + _STEPS[turn][0], y + _STEPS[turn][1])
    points, here = [], first
    while True:
        points.append(here)
        while True:
            turn = (turn + 1) % 8
            ahead = (here[0] + _STEPS[turn][0], here[1] + _STEPS[turn][1])
            if filled[ahead[1]][ahead[0]]:
                break
        if ahead == first and here == last:
            return np.array(points) - 1
        here, turn = ahead, (turn + 4) % 8


def simplified(contour: np.ndarray, tolerance: float) -> np.ndarray:
    """Corners of a closed polygon that is nowhere farther than ``tolerance`` from the contour: int (M, 2).

    Args:
        contour: int (N, 2), closed, at least one point.
    """
    count, start, far = len(contour), 0, 0
    for _ in range(3):
        start = (start + far) % count
        squares = ((np.roll(contour, -start, axis=0) - contour[start]) ** 2).sum(axis=1)
        if squares.max() > 0:
            far = int(squares.argmax())
    if squares.max() <= tolerance**2:
        return contour[start : start + 1]
    turned = np.concatenate([np.roll(contour, -start, axis=0), contour[start : start + 1]])
    return _without_straight_corners([turned[k] for k in _corners(turned, far, tolerance)], tolerance)


def _corners(points: np.ndarray, far: int, tolerance: float) -> list[int]:
    """Indices of the corners between the ends of both halves of a contour; of every stretch its start."""
    kept, todo = [], [(far, len(points) - 1), (0, far)]
    while todo:
        low, high = todo.pop()
        chord = points[high] - points[low]
        inner = points[low + 1 : high] - points[low]
        away = np.abs(inner[:, 1] * chord[0] - inner[:, 0] * chord[1])
        if not away.size or away.max() ** 2 <= tolerance**2 * (chord @ chord):
            kept.append(low)
        else:
            middle = low + 1 + int(away.argmax())
            todo += [(middle, high), (low, middle)]
    return kept


def _without_straight_corners(corners: list[np.ndarray], tolerance: float) -> np.ndarray:
    """Drop a corner that is nearly on the line between its neighbours, unless that line is along an axis of the grid.

    As OpenCV does it: in place, in one round, and the corner after a dropped one stays.
    """
    count, size, wrote, step = len(corners), len(corners), 0, 0
    before, here, read = corners[-1], corners[0], 1 % count
    while step < count and size > 2:
        after, read = corners[read], (read + 1) % count
        chord, arm = after - before, here - before
        away = abs(arm[0] * chord[1] - arm[1] * chord[0])
        straight = away**2 <= tolerance**2 / 2 * (chord @ chord) and chord.all()
        if straight and arm @ (after - here) >= 0:
            size, step = size - 1, step + 1
            corners[wrote] = before = after
            here, read = corners[read], (read + 1) % count
        else:
            corners[wrote] = before = here
            here = after
        wrote, step = (wrote + 1) % count, step + 1
    return np.array(corners[:size])


def fitted_ellipse(points: np.ndarray) -> Ellipse:
    """The ellipse of an algebraic least-squares fit to (N, 2) points, N above 5.

    A general conic gives the centre; with that centre fixed a second fit gives the axes. A fit that is no ellipse has
    axes all the same, as in OpenCV.
    """
    origin = points.mean(axis=0)
    x, y = (points - origin).T
    conic = np.linalg.lstsq(np.stack([-x * x, -y * y, -x * y, x, y], axis=1), np.full(len(x), 1e4), rcond=None)[0]
    middle = np.linalg.lstsq(np.array([[2 * conic[0], conic[2]], [conic[2], 2 * conic[1]]]), conic[3:], rcond=None)[0]
    x, y = x - middle[0], y - middle[1]
    a, b, c = np.linalg.lstsq(np.stack([x * x, y * y, x * y], axis=1), np.ones(len(x)), rcond=None)[0]
    spread = math.hypot(c, b - a) if abs(c) > 1e-8 else b - a
    axes = [math.sqrt(2 / one) if one > 1e-8 else float(one) for one in (abs(a + b - spread), abs(a + b + spread))]
    # OpenCV leaves the angle at its start, upright, unless the first axis is the longer: so for hyperbolas.
    angle = -0.5 * math.atan2(c, b - a) if axes[0] > axes[1] else -math.pi / 2
    return Ellipse(origin + middle, max(axes), min(axes), angle)
