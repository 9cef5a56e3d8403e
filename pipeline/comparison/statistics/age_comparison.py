"""Gestational age of every cell: arms against the baseline, models against each other, and what zooming does."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from pipeline.comparison.age_estimates import AGE_CELL, AgeEstimates, AgeTable
from pipeline.comparison.statistics.ages import Ages, ages
from pipeline.comparison.statistics.estimates import Estimate, Verdict, estimate, paired_difference, verdicts
from pipeline.comparison.statistics.known import KnownMean, known_mean
from pipeline.comparison.statistics.pairs import Pair
from pipeline.comparison.statistics.resampling import Patients
from pipeline.data.ages import Formula, in_words
from pipeline.tasks.gestational_age.scores import per_case

BETTER = {1: "better", -1: "worse"}


@dataclass(frozen=True, kw_only=True)
class AgeResult:
    """Of one cohort, model, number of labels and arm; days throughout.

    error: mean absolute error; a missing estimate counts with the worst. summary: errors by trimester, agreement and
    intervals. slope: d(age) / d(log scale) when the image is rescaled and nothing else. difference: of the error, from
    the baseline arm of the same model and labels. sources: in words, how many cases have an age of each.
    """

    cohort: str
    model: str
    labels: int
    arm: str
    error: Estimate
    summary: Ages
    slope: KnownMean
    sources: Mapping[str, int]
    difference: Estimate | None = None
    verdict: Verdict | None = None


@dataclass(frozen=True)
class AgeComparison:
    """results: in the order of the table. pairs: (cohort, labels) → every pair of models on the baseline arm.
    size_slopes: cohort → the mean slope of what reads the size of the head, by the formula."""

    results: Sequence[AgeResult]
    pairs: Mapping[tuple[str, int], Sequence[Pair]]
    size_slopes: Mapping[str, float]


def compare_ages(table: AgeTable, baseline: str, formula: Formula, resamples: int, seed: int) -> AgeComparison | None:
    """Every cell, its arm against the baseline arm, and models against each other; None of a table without cells.

    Args:
        baseline: an arm. formula: for the slope of a reader of size. resamples, seed: of patients.
    """
    if not table:
        return None
    first = {cell[0]: one for cell, one in reversed(table.items())}
    patients = {cohort: Patients(one.patients, resamples, seed, cohort) for cohort, one in first.items()}
    errors = {cell: absolute_errors(one) for cell, one in table.items()}
    results = []
    for cell, one in table.items():
        cohort, *where, arm = cell
        difference = None
        if arm != baseline:
            difference = paired_difference(errors[cell], errors[cohort, *where, baseline], patients[cohort])
        results.append(replace(_result(cell, one, errors[cell], patients[cohort]), difference=difference))
    # One family: every arm against the baseline, of all models and cohorts.
    words = iter(verdicts([one.difference for one in results if one.difference], -1))
    results = [replace(one, verdict=next(words)) if one.difference else one for one in results]
    return AgeComparison(
        results,
        _pairs(errors, baseline, patients),
        {cohort: size_slope(one.true, formula) for cohort, one in first.items()},
    )


def absolute_errors(estimates: AgeEstimates) -> np.ndarray:
    """float (R, C): of the images as they are, the worst where there is no estimate."""
    return per_case(estimates.true, estimates.estimated[0])["absolute_error"]


def _result(
    cell: tuple[str, str, int, str], estimates: AgeEstimates, errors: np.ndarray, patients: Patients
) -> AgeResult:
    words = [in_words(case.ga_source) for case in estimates.cases]
    found = estimates.estimated[0]
    # An estimate without limits has an interval of all ages.
    low, high = (
        np.where(np.isfinite(limits), limits, end)
        for limits, end in ((estimates.low, -np.inf), (estimates.high, np.inf))
    )
    return AgeResult(
        **dict(zip(AGE_CELL, cell, strict=True)),
        error=estimate(errors, patients),
        summary=ages(estimates.true, found, patients, low, high),
        slope=known_mean(slopes(estimates.scales, estimates.estimated), patients),
        sources={name: words.count(name) for name in dict.fromkeys(words)},
    )


def slopes(scales: Sequence[float], estimated: np.ndarray) -> np.ndarray:
    """d(age) / d(log scale) in days by least squares over the S scales at which there is an estimate.

    Args:
        estimated: float (S, R, C).

    Returns:
        float (R, C), nan for fewer than two scales.
    """
    known = np.isfinite(estimated)
    steps = np.broadcast_to(np.log(np.asarray(scales, float))[:, None, None], estimated.shape)
    of_scale, of_age = (_centred(values, known) for values in (steps, estimated))
    spread = (of_scale**2).sum(axis=0)
    found = np.full(spread.shape, np.nan)
    return np.divide((of_scale * of_age).sum(axis=0), spread, out=found, where=spread > 1e-12)


def _centred(values: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Known values minus their mean over the first axis, and 0 for the others."""
    count = known.sum(axis=0)
    total = np.where(known, values, 0.0).sum(axis=0)
    mean = np.divide(total, count, out=np.zeros(count.shape), where=count > 0)
    return np.where(known, values - mean, 0.0)


def size_slope(days: np.ndarray, formula: Formula) -> float:
    """Mean d(age) / d(log circumference) in days by the formula at these ages, float (N,)."""
    around, step = formula.hc_mm(days), 1e-4
    return float(np.nanmean((formula.days(around * np.exp(step)) - formula.days(around * np.exp(-step))) / (2 * step)))


def _pairs(errors: Mapping, baseline: str, patients: Mapping[str, Patients]) -> dict[tuple[str, int], list[Pair]]:
    """Every pair of models on the baseline arm, later minus earlier, each cohort and number of labels a family."""
    found = {}
    for cohort, labels in dict.fromkeys((cohort, labels) for cohort, _, labels, arm in errors if arm == baseline):
        models = list(dict.fromkeys(cell[1] for cell in errors if cell[0] == cohort))
        names = [(later, earlier) for earlier, later in combinations(models, 2)]
        differences = [
            paired_difference(*(errors[cohort, one, labels, baseline] for one in pair), patients[cohort])
            for pair in names
        ]
        words = verdicts(differences, -1, BETTER)
        found[cohort, labels] = [
            Pair(*pair, difference, verdict)
            for pair, difference, verdict in zip(names, differences, words, strict=True)
        ]
    return found
