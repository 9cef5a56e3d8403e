"""The primary metric by country, device and head size: a mean over everyone can hide who is served badly."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass

import numpy as np

from pipeline.comparison.scores import Scores, ScoreTable
from pipeline.comparison.statistics.estimates import Estimate, estimate, paired_difference
from pipeline.comparison.statistics.resampling import Patients

GROUPS = ("country", "device")
MIN_CASES = 9
"""With fewer heads of known size a cohort is not cut into thirds."""


@dataclass(frozen=True)
class Subgroup:
    """The cases of one value of ``kind`` (country, device, head size); ``difference`` is paired, from the baseline."""

    cohort: str
    kind: str
    value: str
    segmenter: str
    labels: int
    arm: str
    n_cases: int
    score: Estimate
    difference: Estimate | None


def by_subgroup(scores: ScoreTable, arms: Collection[str], baseline: str, resamples: int, seed: int) -> list[Subgroup]:
    """Of ``arms``, in every cohort that has at least two known countries or devices or enough heads of known size."""
    found, drawn = [], {}
    head = next(iter(scores.values())).head
    for kind in (*GROUPS, "head size" if head else "size of the largest structure"):
        for (cohort, *where, arm), own in scores.items():
            base = scores[cohort, *where, baseline].primary
            for value, members in _groups(own, kind) if arm in arms else ():
                key, values = (cohort, kind, value), own.primary[:, members]
                if key not in drawn:
                    drawn[key] = Patients(np.array(own.patients)[members], resamples, seed, *key)
                difference = paired_difference(values, base[:, members], drawn[key]) if arm != baseline else None
                score = estimate(values, drawn[key])
                found.append(Subgroup(*key, *where, arm, values.shape[1], score, difference))
    return found


def _groups(scores: Scores, kind: str) -> Iterator[tuple[str, np.ndarray]]:
    """(value, bool (C,)) of every group; none where there is only one."""
    if kind not in GROUPS:
        yield from _thirds(scores.head_sizes())
        return
    values = np.array([getattr(case, kind) or "" for case in scores.cases])
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
