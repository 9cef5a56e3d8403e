"""A case held against what is known of ultrasound images and heads."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from pipeline.cohorts.bounds import BOUNDS
from pipeline.data.ages import FORMULAS, OWN_SOURCES
from pipeline.data.case import Case
from pipeline.data.structures import Structure, with_role
from pipeline.imaging.ellipse import ellipse_perimeter
from pipeline.imaging.moments import largest_component, semi_axes


class Finding(NamedTuple):
    """One quantity of one case that is outside its bounds."""

    case: str
    quantity: str
    value: float
    text: str
    refused: bool


def implausible(case: Case, structures: Sequence[Structure]) -> list[Finding]:
    """What of a case is outside its bounds; those that refuse it first."""
    found = [_judge(case.id, *one) for one in quantities(case, structures)]
    return sorted((one for one in found if one), key=lambda one: not one.refused)


def quantities(case: Case, structures: Sequence[Structure]) -> Iterator[tuple[str, float, str]]:
    """(quantity, value in its unit, of what) of all that is known of a case."""
    short, long = sorted(case.image.shape)
    yield "shorter side", short, "the image"
    yield "longer side against the shorter", long / short, "the image"
    yield "number of grey levels", np.count_nonzero(np.bincount(case.image.ravel())), "the image"
    if case.pixel_mm is not None:
        yield "pixel size", case.pixel_mm, "the image"
    if case.hc_mm is not None:
        yield "published circumference", case.hc_mm, "the head"
    if case.ga_source in OWN_SOURCES:
        yield from _of_age(case)
    if case.mask is None:
        return
    shares = 100 * np.bincount(case.mask.ravel(), minlength=len(structures) + 1) / case.mask.size
    for index, structure in enumerate(structures, start=1):
        if shares[index]:
            yield "share of the image", shares[index], structure.name
    for index in with_role(structures, "head"):
        if shares[index]:
            yield from _of_head(case, case.mask == index, structures[index - 1].name)


def _of_age(case: Case) -> Iterator[tuple[str, float, str]]:
    """An age that is known, and the circumference against the one that would imply it."""
    yield "gestational age", case.ga_days, "the fetus"
    usual = FORMULAS["intergrowth21"].hc_mm(case.ga_days)
    if case.hc_mm is not None and np.isfinite(usual):
        about = f"the head, {case.hc_mm:.4g} against {usual:.4g} mm at {case.ga_days:.4g} days"
        yield "published circumference against that of its age", 100 * (case.hc_mm / usual - 1), about


def _of_head(case: Case, head: np.ndarray, name: str) -> Iterator[tuple[str, float, str]]:
    long, short = semi_axes(largest_component(head))
    yield "shorter axis of the head against the longer", short / long, name
    if case.pixel_mm is None:
        return
    measured = case.pixel_mm * ellipse_perimeter(long, short)
    yield "measured circumference", measured, name
    if case.hc_mm is not None:
        about = f"{name}, {measured:.4g} against {case.hc_mm:.4g} mm"
        # Of a head that the image's border cuts the mask has the visible part alone.
        cut = " of a cut head" if head[[0, -1]].any() or head[:, [0, -1]].any() else ""
        yield f"measured circumference{cut} against the published one", 100 * (measured / case.hc_mm - 1), about


def _judge(case_id: str, quantity: str, value: float, what: str) -> Finding | None:
    bound = BOUNDS[quantity]
    for (low, high), refused in ((bound.refuse, True), (bound.warn, False)):
        if not low <= value <= high:
            unit = f" {bound.unit}" if bound.unit else ""
            limits = f"below {low:g}" if value < low else f"above {high:g}"
            text = f"{quantity} ({what}) is {value:.3g}{unit}, {limits}; {bound.remedy}"
            return Finding(case_id, quantity, float(value), text, refused)
    return None
