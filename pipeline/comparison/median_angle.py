"""The trivial predictor of the angle of progression: the median of the training masks, for every case."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.data.case import Case
from pipeline.tasks.segmentation.biometry.official import at_official_size, official_angle
from pipeline.tasks.segmentation.pair import Pair


@dataclass(frozen=True)
class MedianAngle:
    """angle: the median in degrees, of ``n_train`` training masks. error: its mean error on the ``n`` cases.

    own_angle, own_error: the median of the ``n`` cases themselves, and its mean error on them, which nobody knows
    beforehand and no constant undercuts: where cohort and training masks differ, ``error`` is large for that alone.
    """

    angle: float
    n_train: int
    error: float
    n: int
    own_angle: float
    own_error: float


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
                of_train, of_cohort = (float(np.median(angles)) for angles in (own[metric], true))
                errors = (float(np.abs(true - median).mean()) for median in (of_train, of_cohort))
                found[name][metric] = MedianAngle(
                    of_train, len(own[metric]), next(errors), len(true), of_cohort, next(errors)
                )
    return found


def _measured(cases: Sequence[Case], pair: Pair) -> dict[str, np.ndarray]:
    """Metric of the geometry → the angles of the masks in degrees, without those that cannot be measured."""
    found: dict[str, list[float]] = {"aop_error_deg": [], "aop_official_error_deg": []}
    # Once: the cases may be decoded as they are asked for.
    for case in cases:
        found["aop_error_deg"].append(pair.angle(case.mask))
        small = at_official_size(case.mask)
        found["aop_official_error_deg"].append(official_angle(small == pair.symphysis, small == pair.head))
    return {name: (values := np.array(angles, float))[np.isfinite(values)] for name, angles in found.items()}
