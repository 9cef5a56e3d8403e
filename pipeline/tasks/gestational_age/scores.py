"""Scores of one estimated age each: error, interval, trimester. Means over cases are the comparison's."""

from typing import Literal

import numpy as np

TRIMESTERS = ("first", "second", "third")
SECOND_FROM_DAYS, THIRD_FROM_DAYS = 14 * 7, 28 * 7
"""Of 14+0 and 28+0 weeks: ACOG, "How your fetus grows during pregnancy"; the first is up to 13+6."""
WORST_ERROR_DAYS = 280.0
"""The absolute error of a missing estimate: the length of a pregnancy."""


COLUMNS = ("cohort", "case", "scale", "days", "low", "high")
"""Of a table of estimates, a row a case and scale of its image: ages and limits in days, empty where there is none."""


def trimester(days: np.ndarray) -> np.ndarray:
    """Number of the trimester in ``TRIMESTERS`` by *true* age, int (N,).

    Args:
        days: float (N,), known ages.
    """
    return np.digitize(days, [SECOND_FROM_DAYS, THIRD_FROM_DAYS])


def per_case(
    days: np.ndarray,
    estimated: np.ndarray,
    low: np.ndarray | None = None,
    high: np.ndarray | None = None,
) -> dict[Literal["error", "absolute_error", "missing", "covered", "width"], np.ndarray]:
    """Scores of N cases, float64 (N,) each.

    Args:
        days: true ages. estimated: nan where an estimator gave none. low, high: limits of its intervals, or neither.

    Returns:
        error: estimated minus true in days, nan where missing: a bias is of what was estimated. absolute_error: in
        days, the worst where missing. missing: 0 or 1. With limits, covered: 0 or 1, 0 where missing, and width: days,
        nan where missing, infinite where the interval is.
    """
    missing = np.isnan(estimated)
    error = estimated - days
    scores = {"error": error, "absolute_error": np.where(missing, WORST_ERROR_DAYS, np.abs(error))}
    scores["missing"] = missing.astype(float)
    if low is not None and high is not None:
        scores["covered"] = ((low <= days) & (days <= high) & ~missing).astype(float)
        scores["width"] = np.where(missing, np.nan, high - low)
    return scores
