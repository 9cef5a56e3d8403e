"""Segmenters beside each other on real data alone: which model is better, before anything synthetic."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from pipeline.comparison.scores import ScoreTable
from pipeline.comparison.statistics.estimates import Estimate, Patients, Verdict, estimate, paired_difference, verdicts

WORDS = {"helps": "better", "hurts": "worse"}


@dataclass(frozen=True)
class Standing:
    """Dice of one segmenter on the baseline arm; ``difference`` is from the grid's first segmenter, paired."""

    cohort: str
    labels: int
    segmenter: str
    dice: Estimate
    difference: Estimate | None
    verdict: Verdict | None


def between_segmenters(
    scores: ScoreTable, segmenters: Sequence[str], baseline: str, patients: Mapping[str, Patients]
) -> list[Standing]:
    """One standing per cohort, number of labels and segmenter."""
    first, found = segmenters[0], []
    for cohort, labels in dict.fromkeys((cohort, labels) for cohort, _, labels, _ in scores):
        other = scores[cohort, first, labels, baseline].per_case("dice")
        for name in segmenters:
            dice = scores[cohort, name, labels, baseline].per_case("dice")
            difference = None if name == first else paired_difference(dice, other, patients[cohort])
            found.append(Standing(cohort, labels, name, estimate(dice, patients[cohort]), difference, None))
    return _judged(found)


def _judged(standings: Sequence[Standing]) -> list[Standing]:
    words = iter(verdicts([one.difference for one in standings if one.difference]))
    judged = (replace(one, verdict=next(words)) if one.difference else one for one in standings)
    return [
        replace(one, verdict=replace(one.verdict, text=WORDS.get(one.verdict.word, one.verdict.text)))
        if one.verdict
        else one
        for one in judged
    ]
