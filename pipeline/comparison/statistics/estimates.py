"""Means, intervals and verdicts from per-case scores.

Three questions have three intervals. Over patients: would *these models* score so on other patients of the cohort? Over
replicates (label subset, generator seed, initialisation): would *this method* score so when it is run again on these
patients? Over both: would it, run again, on other patients? Cases of one patient resemble each other, so patients are
resampled, not cases: the cluster bootstrap of Davison & Hinkley, "Bootstrap Methods and their Application" (1997),
section 3.8, with percentile limits (Efron & Tibshirani, "An Introduction to the Bootstrap" (1993), chapter 13).
Replicates are few, so theirs is Student's t interval. The third one, on which verdicts rest, is that of
comparison/crossed.py.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from pipeline.comparison.statistics.crossed import Crossed, crossed, holm

LEVEL = 0.95
POWER = 0.8
MIN_REPLICATES = 5
"""Fewer replicates than this never say "helps" or "hurts"."""


@dataclass(frozen=True)
class Interval:
    """A 95 % interval over ``n`` patients or replicates."""

    low: float
    high: float
    n: int

    @property
    def side(self) -> int:
        """1 above zero, -1 below, 0 where zero is inside or at a limit."""
        return int(self.low > 0) - int(self.high < 0)


@dataclass(frozen=True)
class Estimate:
    """A mean over cases and replicates with its intervals; None where there are fewer than two to vary over."""

    mean: float
    patients: Interval | None
    replicates: Interval | None
    crossed: Crossed | None
    n_patients: int
    n_replicates: int

    @property
    def both(self) -> Interval | None:
        """Over patients and replicates; its ``n`` is that of the patients."""
        return None if self.crossed is None else Interval(*self.crossed.interval(LEVEL), self.n_patients)


@dataclass(frozen=True)
class Verdict:
    """``word`` for machines and colours, ``text`` for people.

    p_value: adjusted for the number of comparisons; None where there are too few replicates or patients.
    detectable: the smallest true difference that would probably have been found, as a fraction.
    """

    word: Literal["helps", "hurts", "not shown", "too few"]
    text: str
    p_value: float | None = None
    detectable: float | None = None


class Patients:
    """The patients of a cohort's cases and ``resamples`` draws of them, the same for every mean over these cases.

    Args:
        of_cases: the patient of each of the N cases.
    """

    def __init__(self, of_cases: Sequence[str], resamples: int, generator: np.random.Generator):
        self.of_cases = list(of_cases)
        names, self._patient_of = np.unique(np.asarray(self.of_cases), return_inverse=True)
        self.n = len(names)
        self._drawn = generator.multinomial(self.n, np.full(self.n, 1 / self.n), size=resamples)
        self._cases_drawn = self._drawn @ np.bincount(self._patient_of)

    def means(self, values: np.ndarray) -> np.ndarray:
        """Mean score of every resample, float (resamples,); ``values``: float (N,), one score per case."""
        return self._drawn @ np.bincount(self._patient_of, weights=values) / self._cases_drawn

    def interval(self, values: np.ndarray) -> Interval | None:
        """Percentile interval of the mean of N scores under resampling of patients with all their cases."""
        return None if self.n < 2 else Interval(*percentile_limits(self.means(values)), self.n)


def percentile_limits(draws: np.ndarray | Sequence[float], method: str = "linear") -> tuple[float, float]:
    """95 % limits of resampled values; ``method`` is numpy's, "inverted_cdf" where values may be infinite."""
    low, high = np.quantile(draws, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], method=method)
    return float(low), float(high)


def mean_of_known(values: np.ndarray | Sequence[float | None]) -> float | None:
    """Mean of the values that are neither nan nor None; None where there is none."""
    numbers = np.asarray(values, float)
    known = numbers[np.isfinite(numbers)]
    return float(known.mean()) if known.size else None


def replicate_interval(means: Sequence[float]) -> Interval | None:
    """Student's t interval of the mean of replicate means; None for fewer than two."""
    from scipy.stats import t

    n = len(means)
    if n < 2:
        return None
    half = t.ppf((1 + LEVEL) / 2, n - 1) * np.std(means, ddof=1) / np.sqrt(n)
    mean = np.mean(means)
    return Interval(float(mean - half), float(mean + half), n)


def estimate(values: np.ndarray, patients: Patients) -> Estimate:
    """Mean of float (R, N) scores, replicates by cases, with its intervals."""
    return Estimate(
        mean=float(values.mean()),
        patients=patients.interval(values.mean(axis=0)),
        replicates=replicate_interval(values.mean(axis=1)),
        crossed=crossed(values, patients.of_cases),
        n_patients=patients.n,
        n_replicates=len(values),
    )


def paired_difference(arm: np.ndarray, baseline: np.ndarray, patients: Patients) -> Estimate:
    """Arm minus baseline, case by case and replicate by replicate, both float (R, N).

    Raises:
        ValueError: the two differ in shape, so their cases cannot be paired.
    """
    if arm.shape != baseline.shape:
        raise ValueError(f"arm {arm.shape} and baseline {baseline.shape} must hold the same replicates and cases")
    return estimate(arm - baseline, patients)


def verdicts(differences: Sequence[Estimate]) -> list[Verdict]:
    """What a family of paired differences, of a score where higher is better, allows to be said of each.

    "helps" and "hurts" need at least five replicates, a p-value below 5 % over patients and replicates after Holm's
    correction for the number of comparisons, and the other two intervals on the same side of zero.
    """
    asked = [place for place, one in enumerate(differences) if _too_few(one) is None]
    adjusted = dict(zip(asked, holm([differences[place].crossed.p_value for place in asked]), strict=True))
    return [_verdict(one, adjusted.get(place), len(asked)) for place, one in enumerate(differences)]


def _too_few(difference: Estimate) -> str | None:
    if difference.n_replicates < MIN_REPLICATES:
        return f"too few replicates to say: {difference.n_replicates} of {MIN_REPLICATES}"
    return "too few patients to say: 1" if difference.n_patients < 2 else None


def _verdict(difference: Estimate, p_value: float | None, family: int) -> Verdict:
    if p_value is None:
        return Verdict("too few", _too_few(difference))
    detectable = difference.crossed.detectable((1 - LEVEL) / family, POWER)
    sides = {one.side for one in (difference.patients, difference.replicates, difference.both)}
    if p_value < 1 - LEVEL and sides == {1}:
        return Verdict("helps", "helps", p_value, detectable)
    if p_value < 1 - LEVEL and sides == {-1}:
        return Verdict("hurts", "hurts", p_value, detectable)
    return Verdict("not shown", "no evidence of a difference", p_value, detectable)
