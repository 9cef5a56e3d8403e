"""Numbers as people read them."""

from collections.abc import Callable
from dataclasses import dataclass

from pipeline.comparison.statistics.resampling import Interval
from pipeline.tasks.metrics import Metric


@dataclass(frozen=True)
class Display:
    """How values of a metric and differences of them are written: in the unit shown, differences with their sign."""

    metric: Metric

    @property
    def heading(self) -> str:
        return ", ".join(part for part in (self.metric.title, self.metric.shown_unit) if part)

    @property
    def unit_of_differences(self) -> str:
        return "points" if self.metric.shown_unit == "%" else self.metric.shown_unit

    @property
    def unit_in_words(self) -> str:
        return {"°": "degrees"}.get(self.metric.shown_unit, self.metric.shown_unit)

    def with_unit(self, text: str) -> str:
        """A difference, as written, with its unit: ``+1.20 points``, ``−0.50°``."""
        unit = self.unit_of_differences
        return text + ("" if unit in ("", "°") else " ") + unit

    @property
    def better_side(self) -> str:
        return "positive is better" if self.metric.better == "higher" else "negative is better"

    def value(self, value: float | None) -> str:
        return fixed(None if value is None else self.metric.factor * value, self.metric.digits)

    def difference(self, value: float) -> str:
        """``+1.20``, ``−0.34``, ``0.00``."""
        text = self.size(value)
        return text if float(text) == 0 else ("−" if value < 0 else "+") + text

    def size(self, value: float) -> str:
        """A difference without its sign."""
        return f"{abs(self.metric.factor * value):.{max(self.metric.digits, 2)}f}"


def fixed(value: float | None, digits: int = 1) -> str:
    return "–" if value is None else f"{value:.{digits}f}".replace("-", "−")


def interval(value: Interval | None, form: Callable[[float], str]) -> str:
    return "–" if value is None else f"{form(value.low)} to {form(value.high)}"


def span(value: tuple[int, int] | None) -> str:
    """A range over replicates: one number where both ends are equal."""
    if value is None:
        return "–"
    low, high = value
    return str(low) if low == high else f"{low}–{high}"


def p_value(value: float | None) -> str:
    """``.012``, ``<.001``; a dash where there is none."""
    if value is None:
        return "–"
    return "<.001" if value < 0.001 else f"{value:.3f}".removeprefix("0")


def in_labels(value: float, ends: tuple[int, int]) -> str:
    """A number of labels on a learning curve: ``31``, or ``fewer than 5`` and ``more than 220`` beyond its ends."""
    if value == 0:
        return f"fewer than {ends[0]}"
    return f"more than {ends[1]}" if value == float("inf") else f"{value:.0f}"
