"""Dice by country, device and size of the head: a mean over everyone can hide who is served badly."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass

import numpy as np

from pipeline.comparison.scores import GROUPS, Scores, ScoreTable
from pipeline.comparison.statistics.estimates import Interval, Patients
from pipeline.run import seeds

HEAD_SIZE = "head size"
MIN_CASES = 9
"""With fewer heads of known size a cohort is not cut into thirds."""


@dataclass(frozen=True)
class Subgroup:
    """Mean Dice of the cases of one value of ``kind`` (country, device, head size), over cases and replicates.

    difference: paired, from the baseline arm; gain: its interval over patients.
    """

    cohort: str
    kind: str
    value: str
    segmenter: str
    labels: int
    arm: str
    dice: float
    patients: Interval | None
    difference: float | None
    gain: Interval | None
    n_cases: int
    n_patients: int


def by_subgroup(scores: ScoreTable, arms: Collection[str], baseline: str, resamples: int, seed: int) -> list[Subgroup]:
    """Of ``arms``, in every cohort that has at least two known countries or devices or enough heads of known size."""
    found, drawn = [], {}
    for kind in (*GROUPS, HEAD_SIZE):
        for (cohort, segmenter, labels, arm), own in scores.items():
            if arm not in arms:
                continue
            dice = own.per_case("dice").mean(axis=0)
            gained = None
            if arm != baseline:
                gained = dice - scores[cohort, segmenter, labels, baseline].per_case("dice").mean(axis=0)
            for value, mine in _groups(own, kind):
                key = (cohort, kind, value)
                if key not in drawn:
                    names = np.array(own.case_patients)[mine]
                    drawn[key] = Patients(names, resamples, seeds.numpy_generator(seed, "compare", *key))
                found.append(
                    Subgroup(
                        cohort=cohort,
                        kind=kind,
                        value=value,
                        segmenter=segmenter,
                        labels=labels,
                        arm=arm,
                        dice=float(dice[mine].mean()),
                        patients=drawn[key].interval(dice[mine]),
                        difference=None if gained is None else float(gained[mine].mean()),
                        gain=None if gained is None else drawn[key].interval(gained[mine]),
                        n_cases=int(mine.sum()),
                        n_patients=drawn[key].n,
                    )
                )
    return found


def _groups(own: Scores, kind: str) -> Iterator[tuple[str, np.ndarray]]:
    """(value, bool (C,)) of every group; none where there is only one."""
    if kind == HEAD_SIZE:
        yield from _thirds(own.case_head_areas())
        return
    values = np.array(own.case_groups(kind))
    known = sorted(set(values) - {""})
    for value in known if len(known) > 1 else ():
        yield value, values == value


def _thirds(areas: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """Thirds of the cohort by the share of the image that the head covers."""
    known = np.isfinite(areas)
    if known.sum() < MIN_CASES:
        return
    low, high = np.quantile(areas[known], [1 / 3, 2 / 3])
    if low == high:
        return
    yield f"small (below {low:.0%} of the image)", known & (areas < low)
    yield "medium", known & (areas >= low) & (areas <= high)
    yield f"large (above {high:.0%} of the image)", known & (areas > high)
