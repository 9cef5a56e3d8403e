"""From per-case scores of every cell to one result per cohort, segmenter, number of labels and arm."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from pipeline.comparison.scores import CELL, SIZE, Scores, ScoreTable, direction
from pipeline.comparison.statistics import estimates
from pipeline.comparison.statistics.estimates import Compared, Estimate, mean_of_known
from pipeline.comparison.statistics.resampling import Patients
from pipeline.config.arms import Arm
from pipeline.config.cohorts import Cohort, held_out_names
from pipeline.tasks.metrics import METRICS, Metric

COUNTED = ("missing", "spurious", "aop_failed")
"""Metrics that are 0 or 1: the page and the metrics give how many of the predictions are."""


@dataclass(frozen=True, kw_only=True)
class Result(Compared):
    """One cohort, segmenter, number of labels and arm, held against the baseline arm of the same segmenter and labels.

    metric: the primary, which ``score`` is of; values are in its unit.
    beyond_warped: synthetic arms only, their paired difference from the arm of warped labelled images that is in all
        else alike, if there is one.
    regions: region → metric → mean over cases and replicates, None where none has it, and how many of them do.
    replicate_means: of every metric, its mean over cases in each replicate.
    asked: whether the question is about it, as ``in_question`` says.
    """

    spec: Arm
    metric: Metric
    beyond_warped: Estimate | None
    regions: dict[str, dict[str, tuple[float | None, int]]]
    replicate_means: dict[str, list[float | None]]
    counts: dict[str, int]
    asked: bool

    @property
    def better(self) -> int:
        """1 where a higher score is better, -1 where a lower one is."""
        return direction(self.metric)

    @property
    def gain(self) -> float:
        """How much better than the baseline: the difference, positive where it is an improvement."""
        return self.better * self.difference.mean

    @property
    def of_replicates(self) -> list[float]:
        """Mean score of each replicate."""
        return self.replicate_means[self.metric.name]

    @property
    def synthetic(self) -> bool:
        """Whether the arm's extra cases are synthetic with their own masks."""
        return _synthetic(self.spec)


def in_question(spec: Arm, baseline: Arm) -> bool:
    """Whether an arm differs from the baseline in its synthetic cases alone.

    They were made with the arm's own labels and are mixed with all of the labelled cases, in one training of the
    baseline's schedule, augmentation and validation.
    """
    return _synthetic(spec) and not spec.generous and not spec.pretrain and _trained_alike(spec, baseline)


def asked_cohorts(cohorts: Mapping[str, Cohort]) -> list[str]:
    """The cohorts the question is asked on: those held out, and without any the test split of the training cohort."""
    return held_out_names(cohorts) or [name for name, one in cohorts.items() if one.role == "train"]


def _trained_alike(one: Arm, other: Arm) -> bool:
    return all(
        getattr(one, key) == getattr(other, key) for key in ("real", "augment", "pretrain", "validated", "unlabelled")
    )


def _synthetic(spec: Arm) -> bool:
    return spec.extra == "synthetic" and not spec.shuffled


def patients_of(scores: ScoreTable, resamples: int, seed: int) -> dict[str, Patients]:
    """The patients of each cohort, resampled alike for every arm and segmenter: intervals differ by these alone."""
    of_cases = {cohort: one.patients for (cohort, *_), one in scores.items()}
    return {cohort: Patients(names, resamples, seed, cohort) for cohort, names in of_cases.items()}


def summarise(
    scores: ScoreTable,
    arms: Mapping[str, Arm],
    baseline: str,
    asked: Collection[str],
    patients: Mapping[str, Patients],
) -> list[Result]:
    """One result per cohort, segmenter, number of labels and arm, in the order of the table.

    Verdicts are corrected for the number of comparisons: among the arms in question on the cohorts ``asked``, and among
    all the others.
    """
    results, listed = [], {arm: arms[arm] for *_, arm in scores}
    for cell, one in scores.items():
        *where, arm = cell
        drawn, twin = patients[cell[0]], _warped_twin(arms[arm], listed)
        difference, beyond_warped = (
            estimates.paired_difference(one.primary, scores[*where, other].primary, drawn) if other else None
            for other in (baseline if arm != baseline else None, twin)
        )
        names = [name for name in METRICS if name != SIZE and any(name == metric for _, metric in one.values)]
        results.append(
            Result(
                **dict(zip(CELL, cell, strict=True)),
                spec=arms[arm],
                metric=one.metric,
                score=estimates.estimate(one.primary, drawn),
                difference=difference,
                beyond_warped=beyond_warped,
                regions=_region_means(one),
                replicate_means={name: [mean_of_known(row) for row in one.per_case(name)] for name in names},
                counts={name: _count(one, name) for name in COUNTED if name in names},
                asked=in_question(arms[arm], arms[baseline]),
            )
        )
    for family in families(results, asked):
        found = estimates.verdicts([results[place].difference for place in family], direction(results[0].metric))
        for place, verdict in zip(family, found, strict=True):
            results[place] = replace(results[place], verdict=verdict)
    return results


def measured(results: Sequence[Result]) -> list[str]:
    """The metrics that any result has."""
    return [name for name in METRICS if any(name in one.replicate_means for one in results)]


def families(results: Sequence[Result], asked: Collection[str]) -> tuple[list[int], list[int]]:
    """Places of the differences that are corrected among themselves: those of the question, and all the others."""
    compared = [place for place, one in enumerate(results) if one.difference]
    of_question = {place for place in compared if results[place].asked and results[place].cohort in asked}
    return sorted(of_question), [place for place in compared if place not in of_question]


def _warped_twin(spec: Arm, arms: Mapping[str, Arm]) -> str | None:
    """The arm of warped labelled images that is in all else like this one of synthetic cases."""
    for name, other in arms.items():
        warped = other.extra == "warped" and other.ratio == spec.ratio
        if _synthetic(spec) and warped and _trained_alike(other, spec):
            return name
    return None


def _region_means(scores: Scores) -> dict[str, dict[str, tuple[float | None, int]]]:
    """Of every structure and union, in the order they are scored in."""
    regions: dict[str, dict[str, tuple[float | None, int]]] = {}
    for (region, metric), matrix in scores.values.items():
        regions.setdefault(region, {})[metric] = mean_of_known(matrix), int(np.isfinite(matrix).sum())
    return regions


def _count(scores: Scores, metric: str) -> int:
    return sum(int(np.nansum(scores.values.get((region, metric), 0))) for region in scores.structures)
