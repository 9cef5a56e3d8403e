"""The trivial predictor of the angle of progression: the median of the training masks, for every case."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.data.case import Case
from pipeline.tasks.segmentation.biometry.official import official_aop
from pipeline.tasks.segmentation.biometry.progression import measure_progression
from pipeline.tasks.segmentation.pair import Pair


@dataclass(frozen=True)
class MedianAngle:
    """angle: the median in degrees, of ``n_train`` training masks. error: its mean error on the ``n`` cases."""

    angle: float
    n_train: int
    error: float
    n: int


def _default(symphysis: np.ndarray, head: np.ndarray) -> float:
    found = measure_progression(symphysis, head).aop_deg
    return np.nan if found is None else found


GEOMETRIES: Mapping[str, Callable[[np.ndarray, np.ndarray], float]] = {
    "aop_error_deg": _default,
    "aop_official_error_deg": lambda symphysis, head: official_aop(symphysis, head) or np.nan,
}
"""The metric of each geometry → its angle in degrees, nan where it cannot be measured."""


def median_angles(
    train: Sequence[Case], evaluated: Mapping[str, Sequence[Case]], pair: Pair | None
) -> dict[str, dict[str, MedianAngle]]:
    """Cohort → metric of the geometry → what the median is worth, over the reference masks that can be measured.

    Nothing without a pair; no entry where nothing could be measured.
    """
    if pair is None:
        return {}
    found: dict[str, dict[str, MedianAngle]] = {name: {} for name in evaluated}
    own = _measured(train, pair)
    for name, cases in evaluated.items():
        for metric, true in _measured(cases, pair).items():
            if len(own[metric]) and len(true):
                median = float(np.median(own[metric]))
                error = float(np.abs(true - median).mean())
                found[name][metric] = MedianAngle(median, len(own[metric]), error, len(true))
    return found


def _measured(cases: Sequence[Case], pair: Pair) -> dict[str, np.ndarray]:
    rows = []
    for case in cases:
        symphysis, head = case.mask == pair.symphysis, case.mask == pair.head
        rows.append([geometry(symphysis, head) for geometry in GEOMETRIES.values()])
    columns = np.array(rows, float).reshape(-1, len(GEOMETRIES)).T
    return {name: values[np.isfinite(values)] for name, values in zip(GEOMETRIES, columns, strict=True)}
