"""From per-case scores of every cell to one result per cohort, segmenter, number of labels and arm."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np

from pipeline.comparison.scores import METRICS, Scores, ScoreTable
from pipeline.comparison.statistics.estimates import (
    Estimate,
    Patients,
    Verdict,
    estimate,
    mean_of_known,
    paired_difference,
    verdicts,
)
from pipeline.config.arms import Arm
from pipeline.run import seeds


@dataclass(frozen=True)
class StructureMeans:
    """Means over cases and replicates; ``n_mm`` cases have a known pixel size, ``missing`` predictions were empty."""

    structure: str
    means: dict[str, float]
    n_cases: int
    n_mm: int
    missing: int
    n_predictions: int


@dataclass(frozen=True)
class Result:
    """One cohort, segmenter, number of labels and arm. Scores as fractions; ``difference`` is from the baseline arm of
    the same segmenter and number of labels, paired.

    beyond_warped: synthetic arms only, their paired difference from warped real cases, all else alike, if there are.
    asked: whether the question is about it, as ``in_question`` says.
    dice_of_replicates: mean Dice of each replicate. replicate_means: of every metric, for the table.
    """

    cohort: str
    segmenter: str
    labels: int
    arm: str
    spec: Arm
    n_cases: int
    dice: Estimate
    difference: Estimate | None
    beyond_warped: Estimate | None
    verdict: Verdict | None
    structures: tuple[StructureMeans, ...]
    replicate_means: dict[str, list[float | None]]
    asked: bool

    @property
    def dice_of_replicates(self) -> list[float]:
        return self.replicate_means["dice"]

    @property
    def missing(self) -> int:
        return sum(one.missing for one in self.structures)

    @property
    def synthetic(self) -> bool:
        """Whether the arm's extra cases are synthetic with their own masks."""
        return _synthetic(self.spec)


def in_question(spec: Arm, baseline: Arm) -> bool:
    """Whether an arm's difference from the baseline tells what synthetic data do, and nothing else.

    It has synthetic cases, made with its own labels, and is augmented and validated as the baseline is.
    """
    alike = (spec.augment, spec.validated) == (baseline.augment, baseline.validated)
    return _synthetic(spec) and not spec.generous and alike


def _synthetic(spec: Arm) -> bool:
    return spec.extra == "synthetic" and not spec.shuffled


def patients_of(scores: ScoreTable, resamples: int, seed: int) -> dict[str, Patients]:
    """The patients of each cohort, resampled alike for every arm and segmenter: intervals differ by these alone."""
    of_cases = {cohort: own.case_patients for (cohort, *_), own in scores.items()}
    return {
        cohort: Patients(names, resamples, seeds.numpy_generator(seed, "compare", cohort))
        for cohort, names in of_cases.items()
    }


def summarise(
    scores: ScoreTable,
    arms: dict[str, Arm],
    baseline: str,
    held_out: Collection[str],
    patients: dict[str, Patients],
) -> list[Result]:
    """One result per cohort, segmenter, number of labels and arm, in the order of the table.

    Verdicts are corrected for the number of comparisons: among the arms in question on the cohorts ``held_out``, and
    among all the others.
    """
    results = []
    for (cohort, segmenter, labels, arm), own in scores.items():
        dice, key = own.per_case("dice"), (cohort, segmenter, labels)

        def from_arm(other, key=key, dice=dice):
            return paired_difference(dice, scores[*key, other].per_case("dice"), patients[key[0]])

        difference = None if arm == baseline else from_arm(baseline)
        twin = _warped_twin(arm, arms, [name for *others, name in scores if tuple(others) == key])
        results.append(
            Result(
                cohort=cohort,
                segmenter=segmenter,
                labels=labels,
                arm=arm,
                spec=arms[arm],
                n_cases=dice.shape[1],
                dice=estimate(dice, patients[cohort]),
                difference=difference,
                beyond_warped=from_arm(twin) if twin else None,
                verdict=None,
                structures=tuple(_structure_means(own)),
                replicate_means={metric: [mean_of_known(row) for row in own.per_case(metric)] for metric in METRICS},
                asked=in_question(arms[arm], arms[baseline]),
            )
        )
    return _judged(results, held_out)


def families(results: Sequence[Result], held_out: Collection[str]) -> tuple[list[int], list[int]]:
    """Places of the differences that are corrected among themselves: those of the question, and all the others."""
    compared = [place for place, one in enumerate(results) if one.difference]
    asked = {place for place in compared if results[place].asked and results[place].cohort in held_out}
    return [place for place in compared if place in asked], [place for place in compared if place not in asked]


def _judged(results: Sequence[Result], held_out: Collection[str]) -> list[Result]:
    judged = list(results)
    for family in families(results, held_out):
        found = verdicts([results[place].difference for place in family])
        for place, word in zip(family, found, strict=True):
            judged[place] = replace(results[place], verdict=word)
    return judged


def _warped_twin(arm: str, arms: dict[str, Arm], names: Sequence[str]) -> str | None:
    """The arm of warped real cases that is in all else like this one of synthetic cases."""

    def rest(spec):
        return spec.ratio, spec.real, spec.augment, spec.pretrain, spec.validated

    if not _synthetic(arms[arm]):
        return None
    twins = (name for name in names if arms[name].extra == "warped" and rest(arms[name]) == rest(arms[arm]))
    return next(twins, None)


def _structure_means(scores: Scores) -> list[StructureMeans]:
    names = np.array(scores.structures)
    found = []
    for structure in dict.fromkeys(scores.structures):
        values = {metric: matrix[:, names == structure] for metric, matrix in scores.values.items()}
        found.append(
            StructureMeans(
                structure=structure,
                means={metric: mean_of_known(matrix) for metric, matrix in values.items() if metric != "missing"},
                n_cases=values["dice"].shape[1],
                n_mm=int(np.isfinite(values["hd95_mm"][0]).sum()),
                missing=int(values["missing"].sum()),
                n_predictions=values["missing"].size,
            )
        )
    return found
