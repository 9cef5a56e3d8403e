"""How well a predicted measurement tells on which side of a threshold the true one lies."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from pipeline.comparison.statistics.known import Share, known_share
from pipeline.comparison.statistics.resampling import Patients

AOP_DEG = 120.0
"""Angle of progression from which vaginal delivery is likely (Barbera et al. 2009; Kalache et al. 2009)."""
SHARES = {
    "sensitivity": ("true_positive", ("true_positive", "false_negative", "failed_positive")),
    "specificity": ("true_negative", ("true_negative", "false_positive", "failed_negative")),
    "positive_predictive_value": ("true_positive", ("true_positive", "false_positive")),
    "negative_predictive_value": ("true_negative", ("true_negative", "false_negative")),
    "valid_sensitivity": ("true_positive", ("true_positive", "false_negative")),
    "valid_specificity": ("true_negative", ("true_negative", "false_positive")),
}
"""Of which cases each one is the share in which others; ``valid``: in the cases that could be measured."""


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
        return self._share("sensitivity")

    @property
    def specificity(self) -> float | None:
        return self._share("specificity")

    @property
    def valid_sensitivity(self) -> float | None:
        return self._share("valid_sensitivity")

    @property
    def valid_specificity(self) -> float | None:
        return self._share("valid_specificity")

    @property
    def positive_predictive_value(self) -> float | None:
        return self._share("positive_predictive_value")

    @property
    def negative_predictive_value(self) -> float | None:
        return self._share("negative_predictive_value")

    def _share(self, name: str) -> float | None:
        part, whole = SHARES[name]
        total = sum(getattr(self, one) for one in whole)
        return getattr(self, part) / total if total else None


def threshold_table(predicted: np.ndarray, reference: np.ndarray, threshold: float = AOP_DEG) -> ThresholdTable:
    """Count the cases on each side.

    Args:
        predicted: float (...), nan where the measurement failed: the metric ``aop_deg``.
        reference: float (...), the metric ``aop_reference_deg``; cases where it is nan are left out.
    """
    counts = {name: int(where.sum()) for name, where in _sides(predicted, reference, threshold).items()}
    return ThresholdTable(threshold=threshold, **counts)


def threshold_shares(
    predicted: np.ndarray, reference: np.ndarray, patients: Patients, threshold: float = AOP_DEG
) -> Mapping[str, Share]:
    """Every one of ``SHARES`` with its interval over patients; both angles float (R, C), replicates by cases."""
    sides = _sides(predicted, reference, threshold)
    wholes = {name: np.any([sides[one] for one in whole], axis=0) for name, (_, whole) in SHARES.items()}
    return {name: known_share(sides[part], wholes[name], patients) for name, (part, _) in SHARES.items()}


def _sides(predicted: np.ndarray, reference: np.ndarray, threshold: float) -> dict[str, np.ndarray]:
    known = np.isfinite(reference)
    failed, truly, called = known & np.isnan(predicted), reference >= threshold, predicted >= threshold
    valid = known & ~failed
    return {
        "true_positive": valid & truly & called,
        "false_positive": valid & ~truly & called,
        "false_negative": valid & truly & ~called,
        "true_negative": valid & ~truly & ~called,
        "failed_positive": failed & truly,
        "failed_negative": failed & ~truly,
    }
