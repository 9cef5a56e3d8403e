"""The evaluator of the PSFHS challenge (MICCAI 2023), step by step, so that numbers can be read beside its tables.

Its geometry depends on how the image is turned and mirrored, and its failure is an angle of 0: only for comparison. Its
distances, the 100 pixels of an empty prediction and the pixel to which contours are simplified belong to images of 256
pixels: :class:`OfficialCase` brings masks of other sizes to that.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from pipeline.imaging.moments import bounding_window
from pipeline.tasks.segmentation.biometry.opencv import Ellipse, external_contour, fitted_ellipse, simplified
from pipeline.tasks.segmentation.surface import hausdorff_distance

SIDE = 256
"""Pixels of the longer side of an image of the challenge."""
WORST_DISTANCE = 100.0
"""Hausdorff and surface distance in pixels of an empty prediction, in images of ``SIDE`` pixels."""
_DEGREE = 0.01745
"""The evaluator's π / 180, for the ends of the symphysis."""


def at_official_size(class_map: np.ndarray) -> np.ndarray:
    """[H, W] → the same with a longer side of ``SIDE`` pixels, nearest neighbour; the aspect is kept."""
    if max(class_map.shape) == SIDE:
        return class_map
    sides = [max(1, round(side * SIDE / max(class_map.shape))) for side in class_map.shape]
    rows, columns = (
        ((np.arange(new) + 0.5) * old / new).astype(int) for new, old in zip(sides, class_map.shape, strict=True)
    )
    return class_map[np.ix_(rows, columns)]


def official_aop(symphysis: np.ndarray, head: np.ndarray) -> float:
    """:func:`official_angle` as the challenge scores it: 0 where it cannot be had."""
    return official_angle(symphysis, head) or 0.0


def official_angle(symphysis: np.ndarray, head: np.ndarray) -> float | None:
    """Angle of progression in degrees, in [0, 180]; None where an ellipse or the angle cannot be had.

    Ellipses are fitted to the contours after simplification to 1 pixel. The inferior end is the right-hand end of the
    long axis, the tangent that of smaller slope in the frame of the head's ellipse.

    Args:
        symphysis, head: bool [H, W].
    """
    bone, skull = (_ellipse(mask) for mask in (symphysis, head))
    if bone is None or skull is None:
        return None
    along = bone.long * np.array([math.cos(p := math.degrees(bone.angle) * _DEGREE), math.sin(p)])
    superior, inferior = bone.centre - along, bone.centre + along
    tangent = _tangent(inferior, skull)
    # The evaluator itself stops where the tangent touches at the end of the symphysis.
    return angle_at(inferior, superior, tangent)


def angle_at(corner: np.ndarray, one: np.ndarray, other: np.ndarray) -> float | None:
    """The angle of a triangle at a corner in degrees, in [0, 180], by the law of cosines; None for no triangle."""
    first, second, third = math.dist(corner, one), math.dist(corner, other), math.dist(one, other)
    if not first * second > 0:
        return None
    return math.degrees(math.acos(np.clip((first**2 + second**2 - third**2) / (2 * first * second), -1, 1)))


def _ellipse(mask: np.ndarray) -> Ellipse | None:
    contour = external_contour(mask)
    if not len(contour):
        return None
    corners = simplified(contour, 1)
    return fitted_ellipse(corners) if len(corners) > 5 else None


def _tangent(point: np.ndarray, ellipse: Ellipse) -> np.ndarray:
    """Where the line of smaller slope touches; from inside the ellipse, the evaluator's horizontal instead."""
    turn = np.array(
        [[math.cos(ellipse.angle), math.sin(ellipse.angle)], [-math.sin(ellipse.angle), math.cos(ellipse.angle)]]
    )
    (x, y), a, b = turn @ (point - ellipse.centre), ellipse.long, ellipse.short
    if x**2 == a**2:
        x += 1
    outside = b**2 * x**2 + a**2 * y**2 - a**2 * b**2
    slope = (x * y - math.sqrt(outside)) / (x**2 - a**2) if outside >= 0 else 0.0
    rise = y - slope * x
    touch = (-slope * rise / b**2) / (1 / a**2 + slope**2 / b**2)
    return turn.T @ np.array([touch, touch * slope + rise]) + ellipse.centre


class Distances(NamedTuple):
    """DSC in [0, 1]; Hausdorff and average symmetric surface distance in pixels."""

    dsc: float
    hausdorff: float
    asd: float


def official_distances(prediction: np.ndarray, reference: np.ndarray) -> Distances:
    """Of one structure, bool [H, W] both, at the size that they have.

    An empty prediction has 0, 100 and 100; here an empty reference with a prediction has them too, where the evaluator
    itself stops. The Hausdorff distance is that of the regions, not of their outlines. Surfaces are the pixels of a
    region with one of eight neighbours outside it; the rim of the image does not count as outside.
    """
    from scipy import ndimage

    if not (prediction.any() and reference.any()):
        both = not (prediction.any() or reference.any())
        return Distances(1.0, 0.0, 0.0) if both else Distances(0.0, WORST_DISTANCE, WORST_DISTANCE)
    total = np.count_nonzero(prediction) + np.count_nonzero(reference)
    dsc = (2 * np.count_nonzero(prediction & reference) + 1) / (total + 1)
    surfaces = [one & ~ndimage.binary_erosion(one, np.ones((3, 3)), border_value=1) for one in (prediction, reference)]
    window = bounding_window(prediction | reference)
    p_surface, r_surface = (one[window] for one in surfaces)
    hausdorff = hausdorff_distance(prediction, reference)
    if not (p_surface.any() and r_surface.any()):
        return Distances(dsc, hausdorff, WORST_DISTANCE)
    to_p, to_r = (ndimage.distance_transform_edt(~one) for one in (p_surface, r_surface))
    asd = (to_p[r_surface].sum() + to_r[p_surface].sum()) / (p_surface.sum() + r_surface.sum())
    return Distances(dsc, hausdorff, float(asd))


class OfficialCase:
    """The challenge's numbers of one case, at its size; the distances of a region are computed once.

    Args:
        prediction, reference: uint8 [H, W], class indices, of any size.
    """

    def __init__(self, prediction: np.ndarray, reference: np.ndarray) -> None:
        self._masks = at_official_size(prediction), at_official_size(reference)
        self._known: dict[frozenset[int], Distances] = {}

    def distances(self, indices: Sequence[int]) -> Distances:
        """Of a structure or union, by class indices."""
        key = frozenset(indices)
        if key not in self._known:
            self._known[key] = official_distances(*(np.isin(one, list(key)) for one in self._masks))
        return self._known[key]

    def scores(self, symphysis: int, head: int) -> tuple[float, float]:
        """The challenge's error of the angle in degrees, and its composite score in [0, 1].

        .25 DSC + .125 (1 - HD / 100) + .125 (1 - ASD / 100) + .5 (1 - error / 180), the first three means over
        symphysis, head and their union. That of a cohort is the mean, but for its rounding.

        Args:
            symphysis, head: class indices.
        """
        dsc, hausdorff, asd = np.mean(
            [self.distances(one) for one in ((symphysis,), (head,), (symphysis, head))], axis=0
        )
        angles = [official_aop(one == symphysis, one == head) for one in self._masks]
        error = abs(angles[0] - angles[1])
        distances = 0.125 * (1 - hausdorff / WORST_DISTANCE) + 0.125 * (1 - asd / WORST_DISTANCE)
        return error, float(0.25 * dsc + distances + 0.5 * (1 - error / 180))
