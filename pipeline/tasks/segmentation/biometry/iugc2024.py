"""The biometry of the IUGC 2024 challenge, so that numbers can be read beside its tables.

Its geometry depends on how the image is turned and mirrored: only for comparison.
"""

import math
from typing import NamedTuple

import numpy as np

from pipeline.tasks.segmentation.biometry.official import angle_at
from pipeline.tasks.segmentation.biometry.opencv import external_contour


class Biometry(NamedTuple):
    """Angle of progression in degrees, and the shortest head-symphysis distance in pixels."""

    aop_deg: float
    hsd_px: float


def iugc2024_biometry(symphysis: np.ndarray, head: np.ndarray) -> Biometry | None:
    """None where a structure is missing, or no tangent is found; the evaluator itself stops there.

    The axis joins the two contour pixels of the symphysis that lie farthest apart; the inferior end is the right-hand
    one. The tangent goes from it to the rightmost contour pixel of the head which no other lies beyond; the distance is
    that to the nearest contour pixel.

    Args:
        symphysis, head: bool [H, W].
    """
    bone, skull = external_contour(symphysis), external_contour(head)
    if len(bone) < 2 or not len(skull):
        return None
    superior, inferior = _farthest_pair(bone)
    skull = skull[np.argsort(-skull[:, 0], kind="stable")]
    touch = _tangent_point(inferior, skull)
    nearest = float(np.linalg.norm(skull - inferior, axis=1).min())
    aop_deg = None if touch is None else angle_at(inferior, superior, touch)
    return None if aop_deg is None else Biometry(aop_deg, nearest)


def _farthest_pair(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The first pair of the largest distance, the right-hand point last."""
    squares = ((points[:, None] - points[None]) ** 2).sum(axis=-1)
    one, other = points[list(np.unravel_index(np.triu(squares).argmax(), squares.shape))]
    return (other, one) if one[0] > other[0] else (one, other)


def _tangent_point(point: np.ndarray, contour: np.ndarray) -> np.ndarray | None:
    """Of contour pixels (N, 2), right to left, the first that no other lies beyond; a nearer one on its line instead.

    Beyond a falling line is above it, beyond a rising one below it, beyond an upright one right of it (y downwards).
    """
    touch, nearest = None, math.inf
    for candidate in contour:
        run, rise = candidate - point
        others = contour[(contour != candidate).any(axis=1)]
        if run:
            slope = rise / run
            beyond = slope * (others[:, 0] - point[0]) + point[1] - others[:, 1]
            beyond = beyond if slope >= 0 else -beyond
        else:
            beyond = others[:, 0] - candidate[0]
        if (beyond > 0).any():
            continue
        if touch is None:
            touch, nearest = candidate, ((candidate - point) ** 2).sum()
        on_line = others[beyond == 0]
        distances = ((on_line - point) ** 2).sum(axis=1)
        if distances.size and distances.min() < nearest:
            touch, nearest = on_line[distances.argmin()], distances.min()
    return touch
