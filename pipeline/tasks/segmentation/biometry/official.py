"""The evaluator of the PSFHS challenge (MICCAI 2023), step by step, so that numbers can be read beside its tables.

Its geometry depends on how the image is turned and mirrored, and its failure is an angle of 0: only for comparison.
"""

import math

import numpy as np

from pipeline.imaging.moments import bounding_window
from pipeline.tasks.segmentation.biometry.opencv import Ellipse, external_contour, fitted_ellipse, simplified
from pipeline.tasks.segmentation.surface import hausdorff_distance

WORST_DISTANCE = 100.0
"""Hausdorff and surface distance in pixels of an empty prediction, in images of 256 x 256."""
_DEGREE = 0.01745
"""The evaluator's π / 180, for the ends of the symphysis."""


def official_aop(symphysis: np.ndarray, head: np.ndarray) -> float:
    """Angle of progression in degrees, in [0, 180]; 0 where an ellipse or the angle cannot be had.

    Ellipses are fitted to the contours after simplification to 1 pixel. The inferior end is the right-hand end of the
    long axis, the tangent that of smaller slope in the frame of the head's ellipse.

    Args:
        symphysis, head: bool [H, W].
    """
    bone, skull = (_ellipse(mask) for mask in (symphysis, head))
    if bone is None or skull is None:
        return 0.0
    along = bone.long * np.array([math.cos(p := math.degrees(bone.angle) * _DEGREE), math.sin(p)])
    superior, inferior = bone.centre - along, bone.centre + along
    tangent = _tangent(inferior, skull)
    # The evaluator itself stops where the tangent touches at the end of the symphysis.
    return angle_at(inferior, superior, tangent) or 0.0


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


def official_distances(prediction: np.ndarray, reference: np.ndarray) -> tuple[float, float, float]:
    """DSC, Hausdorff distance and average symmetric surface distance (pixels) of one structure, bool [H, W] both.

    An empty prediction has 0, 100 and 100; here an empty reference with a prediction has them too, where the evaluator
    itself stops. The Hausdorff distance is that of the regions, not of their outlines. Surfaces are the pixels of a
    region with one of eight neighbours outside it; the rim of the image does not count as outside.
    """
    from scipy import ndimage

    if not (prediction.any() and reference.any()):
        both = not (prediction.any() or reference.any())
        return (1.0, 0.0, 0.0) if both else (0.0, WORST_DISTANCE, WORST_DISTANCE)
    total = np.count_nonzero(prediction) + np.count_nonzero(reference)
    dsc = (2 * np.count_nonzero(prediction & reference) + 1) / (total + 1)
    surfaces = [one & ~ndimage.binary_erosion(one, np.ones((3, 3)), border_value=1) for one in (prediction, reference)]
    window = bounding_window(prediction | reference)
    p_surface, r_surface = (one[window] for one in surfaces)
    hausdorff = hausdorff_distance(prediction, reference)
    if not (p_surface.any() and r_surface.any()):
        return dsc, hausdorff, WORST_DISTANCE
    to_p, to_r = (ndimage.distance_transform_edt(~one) for one in (p_surface, r_surface))
    asd = (to_p[r_surface].sum() + to_r[p_surface].sum()) / (p_surface.sum() + r_surface.sum())
    return dsc, hausdorff, float(asd)


def official_scores(prediction: np.ndarray, reference: np.ndarray, symphysis: int, head: int) -> tuple[float, float]:
    """The challenge's error of the angle in degrees, and its composite score in [0, 1], of one case.

    .25 DSC + .125 (1 - HD / 100) + .125 (1 - ASD / 100) + .5 (1 - error / 180), the first three means over symphysis,
    head and their union. That of a cohort is the mean, but for its rounding.

    Args:
        prediction, reference: uint8 [H, W], class indices. symphysis, head: their indices.
    """
    regions = ((symphysis,), (head,), (symphysis, head))
    found = [official_distances(np.isin(prediction, one), np.isin(reference, one)) for one in regions]
    dsc, hausdorff, asd = np.mean(found, axis=0)
    angles = [official_aop(one == symphysis, one == head) for one in (prediction, reference)]
    error = abs(angles[0] - angles[1])
    distances = 0.125 * (1 - hausdorff / WORST_DISTANCE) + 0.125 * (1 - asd / WORST_DISTANCE)
    return error, float(0.25 * dsc + distances + 0.5 * (1 - error / 180))
