"""Numbers as people read them."""

import numpy as np

from pipeline.comparison.statistics.estimates import Interval


def points(value: float) -> str:
    """A difference of fractions as signed points: ``+1.20``, ``−0.34``, ``0.00``."""
    rounded = round(100 * value, 2)
    return "0.00" if rounded == 0 else f"{rounded:+.2f}".replace("-", "−")


def percent(value: float) -> str:
    return f"{100 * value:.1f}"


def fixed(value: float | None, digits: int = 1) -> str:
    return "–" if value is None else f"{value:.{digits}f}".replace("-", "−")


def significant(value: float | None) -> str:
    """Three significant digits, without an exponent; a dash where there is no value."""
    if value is None:
        return "–"
    digits = 2 - int(np.floor(np.log10(abs(value)))) if value else 2
    return f"{value:.{min(max(digits, 0), 6)}f}".replace("-", "−")


def mean_and_std(value: tuple[float | None, float | None], factor: float, digits: int) -> str:
    """``32.3 ± 11.9``; a dash where there is no value."""
    return "–" if None in value else " ± ".join(fixed(factor * one, digits) for one in value)


def interval(value: Interval | None, form=percent) -> str:
    return "–" if value is None else f"{form(value.low)} to {form(value.high)}"


def span(value: tuple | None, form="{:d}") -> str:
    """A range over replicates: one number where both ends are equal."""
    if value is None:
        return "–"
    low, high = (form.format(one) for one in value)
    return low if low == high else f"{low}–{high}"


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
