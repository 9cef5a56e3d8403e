"""The primary metric by country, device and size of the head: a mean over everyone can hide who is served badly."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass

import numpy as np

from pipeline.comparison.scores import GROUPS, Scores, ScoreTable
from pipeline.comparison.statistics.resampling import Interval, Patients

HEAD_SIZE = "head size"
MIN_CASES = 9
"""With fewer heads of known size a cohort is not cut into thirds."""


@dataclass(frozen=True)
class Subgroup:
    """Mean score of the cases of one value of ``kind`` (country, device, head size), over cases and replicates.

    interval: of the mean, over patients. difference: paired, from the baseline arm, with its interval over patients.
    """

    cohort: str
    kind: str
    value: str
    segmenter: str
    labels: int
    arm: str
    n_cases: int
    n_patients: int
    mean: float
    interval: Interval | None
    difference: float | None = None
    difference_interval: Interval | None = None


def by_subgroup(scores: ScoreTable, arms: Collection[str], baseline: str, resamples: int, seed: int) -> list[Subgroup]:
    """Of ``arms``, in every cohort that has at least two known countries or devices or enough heads of known size."""
    found, drawn = [], {}
    for kind in (*GROUPS, HEAD_SIZE):
        for (cohort, segmenter, labels, arm), own in scores.items():
            if arm not in arms:
                continue
            means = own.primary.mean(axis=0)
            differences = None
            if arm != baseline:
                differences = means - scores[cohort, segmenter, labels, baseline].primary.mean(axis=0)
            for value, members in _groups(own, kind):
                key = (cohort, kind, value)
                if key not in drawn:
                    drawn[key] = Patients(np.array(own.cases.patients)[members], resamples, seed, *key)
                patients, summaries = drawn[key], []
                for values in (means, differences):
                    if values is not None:
                        summaries += [float(values[members].mean()), patients.interval(values[members])]
                where = (*key, segmenter, labels, arm)
                found.append(Subgroup(*where, int(members.sum()), patients.n, *summaries))
    return found


def _groups(scores: Scores, kind: str) -> Iterator[tuple[str, np.ndarray]]:
    """(value, bool (C,)) of every group; none where there is only one."""
    if kind == HEAD_SIZE:
        yield from _thirds(scores.head_sizes())
        return
    values = np.array(scores.cases.groups[kind])
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
