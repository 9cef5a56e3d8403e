"""The trivial predictor of the angle of progression: the median of the training masks, for every case."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.data.case import Case
from pipeline.tasks.segmentation.biometry.official import at_official_size, official_angle
from pipeline.tasks.segmentation.pair import Pair


@dataclass(frozen=True)
class MedianAngle:
    """angle: the median in degrees, of ``n_train`` training masks. error: its mean error on the ``n`` cases."""

    angle: float
    n_train: int
    error: float
    n: int


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
    """Metric of the geometry → the angles of the masks in degrees, without those that cannot be measured."""
    found: dict[str, list[float]] = {"aop_error_deg": [], "aop_official_error_deg": []}
    # Once: the cases may be decoded as they are asked for.
    for case in cases:
        found["aop_error_deg"].append(pair.angle(case.mask))
        small = at_official_size(case.mask)
        found["aop_official_error_deg"].append(official_angle(small == pair.symphysis, small == pair.head))
    return {name: (values := np.array(angles, float))[np.isfinite(values)] for name, angles in found.items()}
