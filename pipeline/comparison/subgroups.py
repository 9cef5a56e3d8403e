"""Dice by country and device, where a cohort says which: a mean over everyone can hide who is served badly."""

from dataclasses import dataclass

import numpy as np

from pipeline.comparison.statistics import Interval, patient_interval
from pipeline.comparison.summary import GROUPS, ScoreTable, patient_resamples


@dataclass(frozen=True)
class Subgroup:
    """Mean Dice of the cases of one value of ``kind`` (country or device), over cases and replicates."""

    cohort: str
    kind: str
    value: str
    segmenter: str
    labels: int
    arm: str
    dice: float
    patients: Interval | None
    n_cases: int
    n_patients: int


def by_subgroup(scores: ScoreTable, resamples: int, seed: int) -> list[Subgroup]:
    """Of every cohort with at least two known countries or devices; nothing of the others."""
    found = []
    for kind in GROUPS:
        for (cohort, segmenter, labels, arm), own in scores.items():
            values = np.array(own.case_groups(kind))
            known = sorted(set(values) - {""})
            dice, patients = own.per_case("dice").mean(axis=0), np.array(own.case_patients)
            for value in known if len(known) > 1 else ():
                mine = values == value
                limits = patient_interval(dice[mine], patients[mine], resamples, patient_resamples(seed, cohort))
                found.append(
                    Subgroup(cohort, kind, value, segmenter, labels, arm, float(dice[mine].mean()), limits,
                             int(mine.sum()), len(set(patients[mine])))
                )  # fmt: skip
    return found
