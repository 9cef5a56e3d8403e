"""Scores of what is measured between symphysis and head: angle of progression and head-symphysis distance."""

import math

import numpy as np

from pipeline.tasks.metrics import METRICS
from pipeline.tasks.segmentation.biometry.official import OfficialCase
from pipeline.tasks.segmentation.biometry.progression import Progression, measure_progression


def score_pair(
    prediction: np.ndarray,
    reference: np.ndarray,
    symphysis: int,
    head: int,
    pixel_mm: float | None,
    official: OfficialCase | None = None,
) -> dict[str, float]:
    """Metrics by name, in the order of ``METRICS``, without those that the case does not have.

    A prediction that cannot be measured has the worst errors (180 degrees, the image diagonal), ``aop_failed`` 1, and
    nan where only measured cases count. A reference that cannot be measured has the challenge's two metrics alone.

    Args:
        prediction, reference: uint8 [H, W], class indices. symphysis, head: their indices.
        pixel_mm: edge of a pixel in millimetres, or None.
        official: of the same masks, where something was computed of it before.
    """
    found, true = (measure_progression(one == symphysis, one == head) for one in (prediction, reference))
    error, score = (official or OfficialCase(prediction, reference)).scores(symphysis, head)
    values = {"aop_official_error_deg": error, "challenge_score": score}
    if true.failure is None:
        values |= _errors(found, true, math.hypot(*reference.shape), pixel_mm)
    return {name: values[name] for name in METRICS if name in values}


def _errors(found: Progression, true: Progression, diagonal: float, pixel_mm: float | None) -> dict[str, float]:
    if failed := found.failure is not None:
        valid_aop = valid_hsd = math.nan
    else:
        valid_aop, valid_hsd = abs(found.aop_deg - true.aop_deg), abs(found.hsd_px - true.hsd_px)
    hsd = diagonal if failed else valid_hsd
    return {
        "aop_error_deg": METRICS["aop_error_deg"].worst if failed else min(valid_aop, METRICS["aop_error_deg"].worst),
        "aop_error_valid_deg": valid_aop,
        "aop_failed": float(failed),
        "aop_deg": math.nan if failed else found.aop_deg,
        "aop_reference_deg": true.aop_deg,
        "hsd_error_px": hsd,
        "hsd_error_valid_px": valid_hsd,
    } | ({} if pixel_mm is None else {"hsd_error_mm": hsd * pixel_mm})
