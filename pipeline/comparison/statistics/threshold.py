"""How well a predicted measurement tells on which side of a threshold the true one lies."""

from dataclasses import dataclass

import numpy as np

AOP_DEG = 120.0
"""Angle of progression from which vaginal delivery is likely (Barbera et al. 2009; Kalache et al. 2009)."""


@dataclass(frozen=True, kw_only=True)
class ThresholdTable:
    """Counts of cases; positive is at or above the threshold.

    A failed measurement is no call: it lowers sensitivity or specificity, and the predictive values are of calls alone.
    Shares are None where they are of no case.

    failed_positive, failed_negative: failed measurements of cases that are truly positive, or negative.
    """

    threshold: float
    true_positive: int
    false_positive: int
    false_negative: int
    true_negative: int
    failed_positive: int
    failed_negative: int

    @property
    def n(self) -> int:
        return self.n_valid + self.failed_positive + self.failed_negative

    @property
    def n_valid(self) -> int:
        return self.true_positive + self.false_positive + self.false_negative + self.true_negative

    @property
    def sensitivity(self) -> float | None:
        return _share(self.true_positive, self.true_positive + self.false_negative + self.failed_positive)

    @property
    def specificity(self) -> float | None:
        return _share(self.true_negative, self.true_negative + self.false_positive + self.failed_negative)

    @property
    def valid_sensitivity(self) -> float | None:
        """Of the cases that could be measured."""
        return _share(self.true_positive, self.true_positive + self.false_negative)

    @property
    def valid_specificity(self) -> float | None:
        """Of the cases that could be measured."""
        return _share(self.true_negative, self.true_negative + self.false_positive)

    @property
    def positive_predictive_value(self) -> float | None:
        return _share(self.true_positive, self.true_positive + self.false_positive)

    @property
    def negative_predictive_value(self) -> float | None:
        return _share(self.true_negative, self.true_negative + self.false_negative)


def threshold_table(predicted: np.ndarray, reference: np.ndarray, threshold: float = AOP_DEG) -> ThresholdTable:
    """Count the cases on each side.

    Args:
        predicted: float (...), nan where the measurement failed: the metric ``aop_deg``.
        reference: float (...), the metric ``aop_reference_deg``; cases where it is nan are left out.
    """
    known = np.isfinite(reference)
    failed, truly, called = known & np.isnan(predicted), reference >= threshold, predicted >= threshold
    valid = known & ~failed
    counts = {
        "true_positive": valid & truly & called,
        "false_positive": valid & ~truly & called,
        "false_negative": valid & truly & ~called,
        "true_negative": valid & ~truly & ~called,
        "failed_positive": failed & truly,
        "failed_negative": failed & ~truly,
    }
    return ThresholdTable(threshold=threshold, **{name: int(where.sum()) for name, where in counts.items()})


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None
