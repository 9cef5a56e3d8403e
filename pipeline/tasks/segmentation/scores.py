"""Scores of one structure of one case, at native resolution."""

import math
from dataclasses import dataclass

import numpy as np

from pipeline.imaging.outline import outline
from pipeline.run.errors import InputError
from pipeline.tasks.segmentation.biometry import bounding_window, head_circumference_px


@dataclass(frozen=True)
class CaseScores:
    """How well a predicted structure agrees with its reference.

    dice, iou: [0, 1], higher is better.
    hd95: the larger of the two directed 95th percentiles of surface distances.
    assd: mean surface distance, over the points of both surfaces together.
    hc_error: absolute difference of head circumferences; percent of the reference's. None for other structures.
    *_mm: None where the pixel size is unknown.
    missing: the prediction was empty and got the worst scores, see :func:`score_case`.
    """

    dice: float
    iou: float
    hd95_px: float
    assd_px: float
    hd95_mm: float | None
    assd_mm: float | None
    hc_error_mm: float | None
    hc_error_percent: float | None
    missing: bool


def score_case(
    prediction: np.ndarray, reference: np.ndarray, pixel_mm: float | None, *, is_head: bool = True
) -> CaseScores:
    """Score a predicted mask.

    An empty prediction scores Dice and IoU 0, surface distances of the image diagonal, and a circumference error of the
    full circumference: leaving such cases out would reward a network for giving up on the hard ones.

    Args:
        prediction, reference: bool [H, W], native resolution.
        pixel_mm: edge of a pixel in millimetres, or None.
        is_head: whether the structure has a head circumference.

    Raises:
        InputError: the reference is empty, or the shapes differ.
    """
    if prediction.shape != reference.shape:
        raise InputError(f"prediction {prediction.shape} and reference {reference.shape} differ in shape; resize one")
    prediction, reference = prediction.astype(bool), reference.astype(bool)
    if not reference.any():
        raise InputError("the reference mask is empty, so there is nothing to score against; remove the case")
    missing = not prediction.any()
    if missing:
        dice = iou = 0.0
        hd95 = assd = math.hypot(*reference.shape)
    else:
        dice, iou = overlap(prediction, reference)
        hd95, assd = surface_scores(prediction, reference)
    hc_error = circumference = None
    if is_head:
        circumference = head_circumference_px(reference)
        # An empty prediction has a circumference of 0.
        hc_error = abs(head_circumference_px(prediction) - circumference)
    return CaseScores(
        dice=dice,
        iou=iou,
        hd95_px=hd95,
        assd_px=assd,
        hd95_mm=_in_mm(hd95, pixel_mm),
        assd_mm=_in_mm(assd, pixel_mm),
        hc_error_mm=_in_mm(hc_error, pixel_mm),
        hc_error_percent=100 * (hc_error / circumference) if is_head else None,
        missing=missing,
    )


def overlap(a: np.ndarray, b: np.ndarray) -> tuple[float, float]:
    """Dice and IoU of two bool masks, not both empty."""
    common = np.count_nonzero(a & b)
    total = np.count_nonzero(a) + np.count_nonzero(b)
    return float(2 * common / total), float(common / (total - common))


def surface_scores(a: np.ndarray, b: np.ndarray) -> tuple[float, float]:
    """HD95 and ASSD in pixels, of two bool [H, W] masks with at least one pixel each.

    Surfaces are a mask's pixels with a 4-neighbour outside it (or on the rim of the image), as in MONAI, whose
    definitions these are; each directed distance is computed once for both scores.
    """
    window = bounding_window(a | b)
    points_a, points_b = np.argwhere(outline(a[window])), np.argwhere(outline(b[window]))
    to_b, to_a = nearest(points_a, points_b), nearest(points_b, points_a)
    hd95 = max(np.percentile(to_b, 95), np.percentile(to_a, 95))
    assd = (to_b.sum() + to_a.sum()) / (to_b.size + to_a.size)
    return float(hd95), float(assd)


def nearest(points: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Euclidean distance of each of (N, 2) points to the nearest of (M, 2) targets: float (N,)."""
    from scipy.spatial import cKDTree

    # A tree over an outline's two thousand pixels is many times faster than a distance map of the whole image.
    return cKDTree(targets).query(points)[0]


def _in_mm(pixels: float | None, pixel_mm: float | None) -> float | None:
    return None if pixels is None or pixel_mm is None else pixels * pixel_mm
