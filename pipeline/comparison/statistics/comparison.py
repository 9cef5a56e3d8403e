"""Everything that is compared: arms with their baseline and with each other, segmenters, subgroups, worth in labels."""

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.comparison.budgets import Budget
from pipeline.comparison.scores import ScoreTable
from pipeline.comparison.statistics.angles import Angles, angles_of
from pipeline.comparison.statistics.estimates import Compared
from pipeline.comparison.statistics.learning_curve import Worth, worth
from pipeline.comparison.statistics.pairs import Rivals, compare_pairs, rivals_of
from pipeline.comparison.statistics.standings import between_segmenters
from pipeline.comparison.statistics.subgroups import Subgroup, by_subgroup
from pipeline.comparison.statistics.summary import Result, asked_cohorts, families, patients_of, summarise


@dataclass(frozen=True)
class Comparison:
    """What was compared.

    family_sizes: how many differences are corrected among themselves, of the question and all others.
    left_out: cohort → the number of its cases without the primary metric.
    angles: of a task with a symphysis and a head.
    rivals: arms with unlabelled images, with synthetic cases, and with both; none in a grid without the first.
    """

    results: list[Result]
    family_sizes: list[int]
    left_out: dict[str, int]
    standings: list[Compared]
    subgroups: list[Subgroup]
    worths: list[Worth]
    angles: list[Angles]
    rivals: list[Rivals]

    @property
    def with_synthetic(self) -> list[Result]:
        """Results of arms with synthetic data that have a difference from the baseline."""
        return [one for one in self.results if one.synthetic and one.difference]


def compare_arms(scores: ScoreTable, params, budgets: Sequence[Budget]) -> Comparison:
    """Compare what was scored, as the sections ``arms``, ``cohorts``, ``compare`` and ``grid`` ask."""
    baseline, resamples, cohorts = params.compare.baseline, params.compare.bootstrap, asked_cohorts(params.cohorts)
    patients = patients_of(scores, resamples, params.seed)
    results = summarise(scores, params.arms, baseline, cohorts, patients)
    # An arm that has seen more labels than its own stands for no number of them.
    exceeded = {(one.segmenter, one.labels, one.arm) for one in budgets if one.exceeded}
    asked = [one for one in results if one.asked and (one.segmenter, one.labels, one.arm) not in exceeded]
    rivals = rivals_of({arm: params.arms[arm] for arm in params.grid.arms}, baseline)
    shown = {baseline, *(one.arm for one in results if one.synthetic)}
    return Comparison(
        results,
        [len(family) for family in families(results, cohorts)],
        {cohort: one.left_out for (cohort, *_), one in scores.items()},
        between_segmenters(scores, params.grid.segmenters, baseline, patients),
        by_subgroup(scores, shown, baseline, resamples, params.seed),
        worth(scores, asked, baseline, patients),
        angles_of(scores, patients),
        compare_pairs(scores, results, rivals, patients),
    )
