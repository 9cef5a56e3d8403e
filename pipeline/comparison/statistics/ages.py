"""Estimated ages of a cohort: mean absolute error overall and by trimester, agreement, and whether intervals cover."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from pipeline.comparison.statistics.angles import Agreement, agreement
from pipeline.comparison.statistics.known import KnownMean, Share, known_mean, known_share
from pipeline.comparison.statistics.resampling import Interval, Patients, percentile_limits
from pipeline.tasks.gestational_age.scores import TRIMESTERS, per_case, trimester


@dataclass(frozen=True)
class Determination:
    """R², the share of the variance of true ages that the estimates explain; negative where their mean is better.

    value: None where all ages are one. patients: its interval over patients.
    """

    value: float | None
    patients: Interval | None


@dataclass(frozen=True, kw_only=True)
class Ages:
    """Of one cohort and estimator; days.

    mae: mean absolute error, a missing estimate counting the worst. by_trimester: of true age, for those that occur.
    determination, agreement: of the estimates there are. missing: their share. covered, width: of intervals, where the
    estimator has some; the mean width is of finite ones.
    """

    mae: KnownMean
    by_trimester: Mapping[str, KnownMean]
    determination: Determination
    agreement: Agreement
    missing: Share
    covered: Share | None
    width: KnownMean | None


def ages(
    days: np.ndarray,
    estimated: np.ndarray,
    patients: Patients,
    low: np.ndarray | None = None,
    high: np.ndarray | None = None,
) -> Ages:
    """From the ages of C cases, replicates by cases.

    Args:
        days: float (C,), true. estimated: float (R, C), nan where missing. low, high: float (R, C), limits of its
            intervals, or neither. patients: of the cases.
    """
    scores, third = per_case(days, estimated, low, high), trimester(days)
    everywhere = np.ones(estimated.shape, dtype=bool)
    intervals = "covered" in scores
    return Ages(
        mae=known_mean(scores["absolute_error"], patients),
        by_trimester={
            name: known_mean(np.where(third == number, scores["absolute_error"], np.nan), patients)
            for number, name in enumerate(TRIMESTERS)
            if (third == number).any()
        },
        determination=determination(days, estimated, patients),
        agreement=agreement(estimated, np.broadcast_to(days, estimated.shape), patients),
        missing=known_share(scores["missing"] > 0, everywhere, patients),
        covered=known_share(scores["covered"] > 0, everywhere, patients) if intervals else None,
        width=known_mean(scores["width"], patients) if intervals else None,
    )


def determination(days: np.ndarray, estimated: np.ndarray, patients: Patients) -> Determination:
    """R² of float (R, C) estimates of float (C,) days, of those there are, with an interval over patients."""
    known = np.isfinite(estimated)
    true = np.broadcast_to(days, estimated.shape)
    sums = [
        np.where(known, values, 0.0).sum(axis=0)
        for values in (np.ones(estimated.shape), true, true**2, (estimated - true) ** 2)
    ]
    found = _r2(*(np.array([one.sum()]) for one in sums))
    if not np.isfinite(found).all():
        return Determination(None, None)
    draws = _r2(*(patients.means(one) for one in sums))
    draws, interval = draws[np.isfinite(draws)], None
    if patients.n > 1 and len(draws):
        interval = Interval(*percentile_limits(draws), patients.n)
    return Determination(float(found[0]), interval)


def _r2(count: np.ndarray, total: np.ndarray, squares: np.ndarray, errors: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore", divide="ignore"):
        variation = squares - total**2 / count
        return np.where(variation > 1e-9 * squares, 1 - errors / variation, np.nan)
