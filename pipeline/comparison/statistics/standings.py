"""Segmenters beside each other on the baseline arm: which model is better, before any extra case."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from pipeline.comparison.scores import CELL, ScoreTable, direction
from pipeline.comparison.statistics.estimates import Compared, estimate, paired_difference, verdicts
from pipeline.comparison.statistics.resampling import Patients


def between_segmenters(
    scores: ScoreTable, segmenters: Sequence[str], baseline: str, patients: Mapping[str, Patients]
) -> list[Compared]:
    """The baseline arm of every segmenter, in each cohort and number of labels; differences are from the first one."""
    found = []
    for cohort, labels in dict.fromkeys((cohort, labels) for cohort, _, labels, _ in scores):
        first, drawn = scores[cohort, segmenters[0], labels, baseline].primary, patients[cohort]
        for cell in ((cohort, name, labels, baseline) for name in segmenters):
            values, where = scores[cell].primary, dict(zip(CELL, cell, strict=True))
            difference = paired_difference(values, first, drawn) if where["segmenter"] != segmenters[0] else None
            found.append(Compared(**where, score=estimate(values, drawn), difference=difference))
    better = direction(next(iter(scores.values())).metric)
    words = iter(verdicts([one.difference for one in found if one.difference], better, {1: "better", -1: "worse"}))
    return [replace(one, verdict=next(words)) if one.difference else one for one in found]
