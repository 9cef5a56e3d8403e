"""What is known of ultrasound images and heads, as one table: a case outside of it is refused, or warned of."""

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from pipeline.data.case import Case
from pipeline.data.structures import Structure, with_role
from pipeline.imaging.ellipse import ellipse_perimeter
from pipeline.imaging.moments import largest_component, semi_axes

ANY = (-math.inf, math.inf)


class Bound(NamedTuple):
    """refuse, warn: (lowest, highest) value that is not refused, or not warned of. remedy: what to look at."""

    quantity: str
    unit: str
    refuse: tuple[float, float]
    warn: tuple[float, float]
    remedy: str


SIZE = "give the edge of a pixel of this very file in mm; a resized image has another one"
CIRCUMFERENCE = "give it in mm (not cm or m), and the pixel size of this very file"
MASK = "look at the mask: is it the structure, and of this image?"
BOUNDS = {
    one.quantity: one
    for one in (
        Bound("shorter side", "px", (8, math.inf), (64, math.inf), "export the image at its own size"),
        Bound("longer side against the shorter", "times", (1, 10), (1, 3), "look at the image: is it a whole one?"),
        Bound("number of grey levels", "", (2, math.inf), (16, math.inf), "look at the image: is it one, and no mask?"),
        Bound("pixel size", "mm", (0.005, 2), (0.02, 1), SIZE),
        Bound("published circumference", "mm", (20, 600), (40, 420), CIRCUMFERENCE),
        Bound("measured circumference", "mm", (20, 600), (40, 420), CIRCUMFERENCE),
        Bound("measured circumference against the published one", "%", (-10, 10), (-2, 2), SIZE),
        Bound("measured circumference of a cut head against the published one", "%", (-50, 10), (-10, 2), SIZE),
        Bound("share of the image", "%", (0, 98), (0.1, 90), MASK),
        Bound("shorter axis of the head against the longer", "times", (0.1, 1), (0.5, 1), MASK),
    )
}
"""Of HC18 (400 cases), Spanish (48), African (25) and PSFHS (445) none is refused or warned of."""


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
    if case.mask is None:
        return
    shares = 100 * np.bincount(case.mask.ravel(), minlength=len(structures) + 1) / case.mask.size
    for index, structure in enumerate(structures, start=1):
        if shares[index]:
            yield "share of the image", shares[index], structure.name
    for index in with_role(structures, "head"):
        if shares[index]:
            yield from _of_head(case, case.mask == index, structures[index - 1].name)


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
