"""Scores of the regions of one case, at native resolution."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np

from pipeline.data.case import Case
from pipeline.data.structures import Structure, names, with_role
from pipeline.imaging.moments import bounding_window
from pipeline.imaging.outline import outline
from pipeline.imaging.overlap import overlap
from pipeline.run.errors import InputError
from pipeline.tasks.metrics import METRICS
from pipeline.tasks.segmentation.biometry import head_circumference_px


@dataclass(frozen=True)
class Region:
    """What is scored as one: a structure, or a union of structures, by class indices."""

    name: str
    indices: tuple[int, ...]
    is_head: bool = False

    def mask(self, class_map: np.ndarray) -> np.ndarray:
        """bool [H, W] from class indices."""
        return reduce(np.logical_or, (class_map == index for index in self.indices))


def regions_of(structures: Sequence[Structure], unions: Mapping[str, Sequence[str]]) -> list[Region]:
    """Every structure, then every named union; the structure with the role ``head`` has a circumference."""
    index_of, heads = {name: k for k, name in enumerate(names(structures), start=1)}, with_role(structures, "head")
    return [
        *(Region(name, (k,), k in heads) for name, k in index_of.items()),
        *(Region(union, tuple(index_of[name] for name in members)) for union, members in unions.items()),
    ]


def score_case(prediction: np.ndarray, case: Case, regions: Sequence[Region]) -> list[dict]:
    """Rows ``case, region, metric, value, unit`` of a labelled case, see :func:`score_region`.

    Args:
        prediction: uint8 [H, W], class indices at native resolution.

    Raises:
        InputError: the prediction has another shape than the case.
    """
    if prediction.shape != case.mask.shape:
        raise InputError(f"case '{case.id}': prediction {prediction.shape}, mask {case.mask.shape}; predict it again")
    rows = []
    for region in regions:
        found, reference = region.mask(prediction), region.mask(case.mask)
        scores = score_region(found, reference, case.pixel_mm, hc_mm=case.hc_mm, is_head=region.is_head)
        rows += [
            {"case": case.id, "region": region.name, "metric": name, "value": value, "unit": METRICS[name].unit}
            for name, value in scores.items()
        ]
    return rows


def score_region(
    prediction: np.ndarray,
    reference: np.ndarray,
    pixel_mm: float | None,
    *,
    hc_mm: float | None = None,
    is_head: bool = False,
) -> dict[str, float]:
    """Metrics of a predicted region by name, in the order of ``METRICS``, without those that the case does not have.

    A region that is in one mask only scores the worst values: Dice and IoU 0, the image diagonal as distance, the
    error of the full circumference. To leave such cases out would reward a network for giving up on the hard ones, or
    for drawing what is not there. A region in neither mask is in full agreement. ``missing`` and ``spurious`` tell.

    Args:
        prediction, reference: bool [H, W], native resolution.
        pixel_mm: edge of a pixel in millimetres, or None.
        hc_mm: the published head circumference, or None. is_head: whether the region has a circumference.
    """
    predicted, present = bool(prediction.any()), bool(reference.any())
    values = dict(zip(("dice", "iou"), overlap(prediction, reference), strict=True))
    hd95, assd = surface_scores(prediction, reference)
    values |= {"hd95_px": hd95, "assd_px": assd}
    values |= {"missing": float(present and not predicted), "spurious": float(predicted and not present)}
    values["reference_share"] = float(reference.mean())
    if pixel_mm is not None:
        values |= {"hd95_mm": hd95 * pixel_mm, "assd_mm": assd * pixel_mm}
    if is_head:
        values |= _circumference_errors(prediction, reference, pixel_mm, hc_mm)
    return {name: values[name] for name in METRICS if name in values}


def _circumference_errors(
    prediction: np.ndarray, reference: np.ndarray, pixel_mm: float | None, hc_mm: float | None
) -> dict[str, float]:
    """Against the circumference of the reference, and the published one; an empty mask has a circumference of 0."""
    found, true = head_circumference_px(prediction), head_circumference_px(reference)
    error, worst = abs(found - true), METRICS["hc_error_percent"].worst
    values = {"hc_error_percent": 100 * (error / true) if true else worst * bool(found)}
    if pixel_mm is not None:
        values["hc_error_mm"] = error * pixel_mm
        if hc_mm is not None:
            values["hc_published_error_mm"] = abs(found * pixel_mm - hc_mm)
    return values


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


def nearest(points: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Euclidean distance of each of (N, 2) points to the nearest of (M, 2) targets: float (N,)."""
    from scipy.spatial import cKDTree

    # A tree over an outline's two thousand pixels is many times faster than a distance map of the whole image.
    return cKDTree(targets).query(points)[0]
