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


METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("dice", "Dice", "", "higher", 0.0, 100, "%", 1),
        Metric("iou", "IoU", "", "higher", 0.0, 100, "%", 1),
        Metric("hd95_px", "HD95", "px", "lower", None, 1, "px", 2),
        Metric("assd_px", "ASSD", "px", "lower", None, 1, "px", 2),
        Metric("hd95_mm", "HD95", "mm", "lower", None, 1, "mm", 2),
        Metric("assd_mm", "ASSD", "mm", "lower", None, 1, "mm", 2),
        Metric("hc_error_mm", "Circumference error", "mm", "lower", None, 1, "mm", 2),
        Metric("hc_error_percent", "Circumference error", "%", "lower", 100.0, 1, "%", 1),
        Metric("hc_published_error_mm", "Error of the published circumference", "mm", "lower", None, 1, "mm", 2),
        Metric("missing", "Missing prediction", "", "lower", 1.0, 100, "%", 1),
        Metric("spurious", "Structure where there is none", "", "lower", 1.0, 100, "%", 1),
        Metric("reference_share", "Share of the image in the reference", "", None, None, 100, "%", 1),
    )
}
"""By name, in the order of tables."""
