"""The metrics there are: what each is called, which way is better, how it is shown, what counts as the worst."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Metric:
    """What a column of scores means.

    name: as in the column ``metric`` of a table of scores.
    title: as on a page.
    unit: of the values, empty for a share.
    better: whether higher or lower values are better; None for what describes a case and ranks nothing.
    worst: the value of a missing prediction; None where the case sets it (the diagonal of its image) or none is needed.
    paired: whether only tasks with a symphysis and a head have it; ``hd_px`` others too where they ask for it.
    factor, shown_unit, digits: a value is shown as ``factor * value`` with this many decimals and this unit.
    """

    name: str
    title: str
    unit: str
    better: Literal["higher", "lower"] | None
    worst: float | None
    factor: float
    shown_unit: str
    digits: int
    paired: bool = False


PAIR = "symphysis-head"
"""The region of what is measured between symphysis and head; no structure can have this name."""
METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("dice", "Dice", "", "higher", 0.0, 100, "%", 1),
        Metric("iou", "IoU", "", "higher", 0.0, 100, "%", 1),
        Metric("hd95_px", "HD95", "px", "lower", None, 1, "px", 2),
        Metric("assd_px", "ASSD", "px", "lower", None, 1, "px", 2),
        Metric("hd_px", "Hausdorff", "px", "lower", None, 1, "px", 2, True),
        Metric("asd_official_px", "ASD (PSFHS 2023)", "px", "lower", 100.0, 1, "px", 2, True),
        Metric("hd95_mm", "HD95", "mm", "lower", None, 1, "mm", 2),
        Metric("assd_mm", "ASSD", "mm", "lower", None, 1, "mm", 2),
        Metric("hc_error_mm", "Circumference error", "mm", "lower", None, 1, "mm", 2),
        Metric("hc_error_percent", "Circumference error", "%", "lower", 100.0, 1, "%", 1),
        Metric("hc_published_error_mm", "Error of the published circumference", "mm", "lower", None, 1, "mm", 2),
        Metric("aop_error_deg", "AoP error", "deg", "lower", 180.0, 1, "°", 1, True),
        Metric("aop_official_error_deg", "AoP error (PSFHS 2023)", "deg", "lower", None, 1, "°", 1, True),
        Metric("hsd_error_px", "HSD error", "px", "lower", None, 1, "px", 1, True),
        Metric("hsd_error_mm", "HSD error", "mm", "lower", None, 1, "mm", 1, True),
        Metric("challenge_score", "Score (PSFHS 2023)", "", "higher", None, 1, "", 3, True),
        Metric("aop_failed", "AoP not measured", "", "lower", 1.0, 100, "%", 1, True),
        # Over the cases that could be measured alone they rank nothing: giving up on the hard ones would help.
        Metric("aop_error_valid_deg", "AoP error where measured", "deg", None, None, 1, "°", 1, True),
        Metric("hsd_error_valid_px", "HSD error where measured", "px", None, None, 1, "px", 1, True),
        Metric("aop_deg", "AoP", "deg", None, None, 1, "°", 1, True),
        Metric("aop_reference_deg", "AoP in the reference", "deg", None, None, 1, "°", 1, True),
        Metric("missing", "Missing prediction", "", "lower", 1.0, 100, "%", 1),
        Metric("spurious", "Structure where there is none", "", "lower", 1.0, 100, "%", 1),
        Metric("reference_share", "Share of the image in the reference", "", None, None, 100, "%", 1),
    )
}
"""By name, in the order of tables."""
