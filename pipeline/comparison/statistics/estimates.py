"""Means, intervals and verdicts from per-case scores.

Three questions have three intervals. Over patients: would *these models* score so on other patients of the cohort? Over
replicates (label subset, generator seed, initialisation): would *this method* score so when it is run again on these
patients? Over both: would it, run again, on other patients? The first is a bootstrap of patients (resampling.py).
Replicates are few, so theirs is Student's t interval. The third one, on which verdicts rest, is that of crossed.py.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from pipeline.comparison.statistics.crossed import Crossed, crossed, holm
from pipeline.comparison.statistics.resampling import LEVEL, Interval, Patients

POWER = 0.8
MIN_REPLICATES = 5
"""Fewer replicates than this never say "helps" or "hurts"."""


@dataclass(frozen=True)
class Estimate:
    """A mean over cases and replicates with its intervals; None where there are fewer than two to vary over."""

    mean: float
    patients: Interval | None
    replicates: Interval | None
    crossed: Crossed | None
    n_cases: int
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
    detectable: the smallest detectable difference, in the metric's unit.
    """

    word: Literal["helps", "hurts", "not shown", "too few"]
    text: str
    p_value: float | None = None
    detectable: float | None = None


@dataclass(frozen=True, kw_only=True)
class Compared:
    """A score of a segmenter on a cohort, after its training on an arm.

    difference: paired, from what it is held against; None of that itself.
    """

    cohort: str
    segmenter: str
    labels: int
    arm: str
    score: Estimate
    difference: Estimate | None
    verdict: Verdict | None = None


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
        n_cases=values.shape[1],
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


WORDS = {1: "helps", -1: "hurts"}


def verdicts(differences: Sequence[Estimate], better: int, words: Mapping[int, str] = WORDS) -> list[Verdict]:
    """What a family of paired differences allows to be said of each.

    "helps" and "hurts" need at least five replicates, a p-value below 5 % over patients and replicates after Holm's
    correction for the number of comparisons, and the other two intervals on the same side of zero.

    Args:
        better: 1 where a higher score is better, -1 where a lower one is; see ``scores.direction``.
        words: texts for a gain (1) and a loss (-1).
    """
    tested = [place for place, one in enumerate(differences) if _too_few(one) is None]
    adjusted = dict(zip(tested, holm([differences[place].crossed.p_value for place in tested]), strict=True))
    found = []
    for place, one in enumerate(differences):
        if place not in adjusted:
            found.append(Verdict("too few", _too_few(one)))
            continue
        detectable = one.crossed.detectable((1 - LEVEL) / len(tested), POWER)
        sides = {interval.side * better for interval in (one.patients, one.replicates, one.both)}
        word, text = "not shown", "no evidence of a difference"
        if adjusted[place] < 1 - LEVEL and len(sides) == 1 and 0 not in sides:
            (side,) = sides
            word, text = WORDS[side], words[side]
        found.append(Verdict(word, text, adjusted[place], detectable))
    return found


def _too_few(difference: Estimate) -> str | None:
    if difference.n_replicates < MIN_REPLICATES:
        return f"too few replicates to say: {difference.n_replicates} of {MIN_REPLICATES}"
    return "too few patients to say: 1" if difference.n_patients < 2 else None
