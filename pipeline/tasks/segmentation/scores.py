"""Scores of the regions of one case, at native resolution."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np

from pipeline.data.case import Case
from pipeline.data.structures import Structure, names, with_role
from pipeline.imaging.overlap import overlap
from pipeline.run.errors import InputError
from pipeline.tasks.metrics import METRICS, PAIR
from pipeline.tasks.segmentation.biometry.circumference import head_circumference_px
from pipeline.tasks.segmentation.biometry.official import SIDE, Distances, OfficialCase
from pipeline.tasks.segmentation.pair import Pair, pair_of
from pipeline.tasks.segmentation.pair_scores import score_pair
from pipeline.tasks.segmentation.surface import hausdorff_distance, surface_scores


@dataclass(frozen=True)
class Region:
    """What is scored as one: a structure, or a union of structures, by class indices.

    is_head: whether it has a circumference. of_pair: whether symphysis and head are both scored, which adds the full
        Hausdorff distance, and the surface distance of the PSFHS challenge. hausdorff: whether the former is added
        anyway.
    """

    name: str
    indices: tuple[int, ...]
    is_head: bool = False
    of_pair: bool = False
    hausdorff: bool = False

    def mask(self, class_map: np.ndarray) -> np.ndarray:
        """bool [H, W] from class indices."""
        return reduce(np.logical_or, (class_map == index for index in self.indices))


def regions_of(
    structures: Sequence[Structure], unions: Mapping[str, Sequence[str]], hausdorff: bool = False
) -> list[Region]:
    """Every structure, then every named union; the structure with the role ``head`` has a circumference.

    Args:
        hausdorff: see :class:`Region`.
    """
    index_of, heads = {name: k for k, name in enumerate(names(structures), start=1)}, with_role(structures, "head")
    paired = pair_of(structures) is not None
    return [
        *(Region(name, (k,), k in heads, paired, hausdorff) for name, k in index_of.items()),
        *(
            Region(union, tuple(index_of[name] for name in members), False, paired, hausdorff)
            for union, members in unions.items()
        ),
    ]


def score_case(prediction: np.ndarray, case: Case, regions: Sequence[Region], pair: Pair | None = None) -> list[dict]:
    """Rows ``case, region, metric, value, unit`` of a labelled case: :func:`score_region`, then :func:`score_pair`.

    Args:
        prediction: uint8 [H, W], class indices at native resolution.
        pair: what is measured between two structures, or None.

    Raises:
        InputError: the prediction has another shape than the case.
    """
    if prediction.shape != case.mask.shape:
        raise InputError(f"case '{case.id}': prediction {prediction.shape}, mask {case.mask.shape}; predict it again")
    official = OfficialCase(prediction, case.mask) if any(region.of_pair for region in regions) or pair else None
    scores = {
        region.name: score_region(
            region.mask(prediction),
            region.mask(case.mask),
            case.pixel_mm,
            hc_mm=case.hc_mm,
            is_head=region.is_head,
            official=official.distances(region.indices) if region.of_pair else None,
            hausdorff=region.hausdorff,
        )
        for region in regions
    }
    if pair is not None:
        scores[PAIR] = score_pair(prediction, case.mask, pair.symphysis, pair.head, case.pixel_mm, official)
    return [
        {"case": case.id, "region": region, "metric": name, "value": value, "unit": METRICS[name].unit}
        for region, values in scores.items()
        for name, value in values.items()
    ]


def score_region(
    prediction: np.ndarray,
    reference: np.ndarray,
    pixel_mm: float | None,
    *,
    hc_mm: float | None = None,
    is_head: bool = False,
    official: Distances | None = None,
    hausdorff: bool = False,
) -> dict[str, float]:
    """Metrics of a predicted region by name, in the order of ``METRICS``, without those that the case does not have.

    A region that is in one mask only scores the worst values: Dice and IoU 0, the image diagonal as distance, the
    error of the full circumference. To leave such cases out would reward a network for giving up on the hard ones, or
    for drawing what is not there. A region in neither mask is in full agreement. ``missing`` and ``spurious`` tell.

    Args:
        prediction, reference: bool [H, W], native resolution.
        pixel_mm: edge of a pixel in millimetres, or None.
        hc_mm: the published head circumference, or None. is_head, hausdorff: see :class:`Region`.
        official: of the same region at the challenge's size, where symphysis and head are both scored.
    """
    predicted, present = bool(prediction.any()), bool(reference.any())
    values = dict(zip(("dice", "iou"), overlap(prediction, reference), strict=True))
    hd95, assd = surface_scores(prediction, reference)
    values |= {"hd95_px": hd95, "assd_px": assd}
    if official is not None and predicted and present and max(reference.shape) == SIDE:
        values["hd_px"] = official.hausdorff
    elif official is not None or hausdorff:
        values["hd_px"] = hausdorff_distance(prediction, reference)
    if official is not None:
        values["asd_official_px"] = official.asd
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
