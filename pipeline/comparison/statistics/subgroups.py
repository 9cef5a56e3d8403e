"""The primary metric by country, device and head size: a mean over everyone can hide who is served badly."""

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from pipeline.comparison.scores import CELL, Scores, ScoreTable
from pipeline.comparison.statistics.estimates import Compared, estimate, paired_difference
from pipeline.comparison.statistics.resampling import Patients

GROUPS = ("country", "device")
MIN_CASES = 9
"""With fewer heads of known size a cohort is not cut into thirds."""


@dataclass(frozen=True, kw_only=True)
class Subgroup(Compared):
    """The cases of one value of ``kind`` (country, device, head size), held against the baseline."""

    kind: str
    value: str


def by_subgroup(scores: ScoreTable, arms: Collection[str], baseline: str, resamples: int, seed: int) -> list[Subgroup]:
    """Of ``arms``, in every cohort that has at least two known countries or devices or enough heads of known size."""
    found, drawn = [], {}
    head = next(iter(scores.values())).head
    for kind in (*GROUPS, "head size" if head else "size of the largest structure"):
        for cell, own in scores.items():
            cohort, *_, arm = cell
            base, where = scores[*cell[:-1], baseline].primary, dict(zip(CELL, cell, strict=True))
            for value, members in _groups(own, kind).items() if arm in arms else ():
                key, values = (cohort, kind, value), own.primary[:, members]
                if key not in drawn:
                    drawn[key] = Patients(np.array(own.patients)[members], resamples, seed, *key)
                difference = paired_difference(values, base[:, members], drawn[key]) if arm != baseline else None
                score = estimate(values, drawn[key])
                found.append(Subgroup(**where, kind=kind, value=value, score=score, difference=difference))
    return found


def _groups(scores: Scores, kind: str) -> dict[str, np.ndarray]:
    """Value → bool (C,), the cases of its group; nothing where there is only one group.

    Sizes are thirds of the cohort by the share of the image that the head covers.
    """
    if kind in GROUPS:
        values = np.array([getattr(case, kind) or "" for case in scores.cases])
        known = sorted(set(values) - {""})
        return {value: values == value for value in known} if len(known) > 1 else {}
    areas = scores.head_sizes()
    known = np.isfinite(areas)
    low, high = np.quantile(areas[known], [1 / 3, 2 / 3]) if known.sum() >= MIN_CASES else (0, 0)
    if low == high:
        return {}
    return {
        f"small (below {low:.0%} of the image)": known & (areas < low),
        "medium": known & (areas >= low) & (areas <= high),
        f"large (above {high:.0%} of the image)": known & (areas > high),
    }
