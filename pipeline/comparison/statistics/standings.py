"""Segmenters beside each other on the baseline arm: which model is better, before any extra case."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from pipeline.comparison.scores import ScoreTable, direction
from pipeline.comparison.statistics.estimates import Estimate, Verdict, estimate, paired_difference, verdicts
from pipeline.comparison.statistics.resampling import Patients


@dataclass(frozen=True)
class Standing:
    """One segmenter on the baseline arm; ``difference`` is from the grid's first segmenter, paired."""

    cohort: str
    labels: int
    segmenter: str
    score: Estimate
    difference: Estimate | None
    verdict: Verdict | None = None


def between_segmenters(
    scores: ScoreTable, segmenters: Sequence[str], baseline: str, patients: Mapping[str, Patients]
) -> list[Standing]:
    """One standing per cohort, number of labels and segmenter."""
    found = []
    for cohort, labels in dict.fromkeys((cohort, labels) for cohort, _, labels, _ in scores):
        first, *others = (scores[cohort, name, labels, baseline].primary for name in segmenters)
        drawn = patients[cohort]
        differences = [None, *(paired_difference(values, first, drawn) for values in others)]
        for name, values, difference in zip(segmenters, (first, *others), differences, strict=True):
            found.append(Standing(cohort, labels, name, estimate(values, drawn), difference))
    better = direction(next(iter(scores.values())).metric)
    words = iter(verdicts([one.difference for one in found if one.difference], better, {1: "better", -1: "worse"}))
    return [replace(one, verdict=next(words)) if one.difference else one for one in found]
