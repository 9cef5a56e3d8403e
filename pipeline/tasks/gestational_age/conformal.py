"""Intervals of age that hold whatever the estimator: split conformal prediction on the validation patients.

Vovk, Gammerman & Shafer, "Algorithmic Learning in a Random World" (2005); for regression, and divided by a predicted
spread, Lei et al., "Distribution-free predictive inference for regression" (JASA 2018), section 5.2. Cases of one
patient resemble each other, so that cases are not exchangeable; patients are. Each patient counts once, her cases share
that count: hierarchical conformal prediction of Lee, Barber & Willett, "Distribution-free inference with hierarchical
data" (arXiv 2306.06342). With one case a patient it is the split conformal interval, whose factor is the
⌈(n + 1)(1 − α)⌉-th smallest of n scores.

What is promised: an interval of level 0.95 covers the age of one case, drawn from a new patient of the same population,
with a probability of at least 0.95 over patients and over the draw of the validation patients. Nothing is promised of
one trimester, of a cohort of another country or device, nor where the estimator was fitted, or its best weights chosen,
on the patients it is calibrated on: the first is refused, the second is for the caller to avoid.
"""

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.run.errors import InputError
from pipeline.tasks.gestational_age.patients import check_disjoint

LEVEL = 0.95
log = logging.getLogger("pipeline.conformal")


@dataclass(frozen=True)
class Conformal:
    """Intervals ``estimate ± factor × spread``.

    factor: in days, or of an estimator with a spread of its own in multiples of that. Infinite where the patients are
    too few for the level: the only interval that then keeps the promise is all ages, and other results stand.
    """

    level: float
    factor: float
    cases: int
    patients: int
    normalised: bool

    @property
    def enough(self) -> bool:
        """Whether the patients were enough for the level."""
        return math.isfinite(self.factor)

    def interval(self, estimated: np.ndarray, spread: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Lower and upper limits in days, float (N,) each.

        Args:
            estimated: float (N,) days. spread: predicted standard deviations in days, exactly where it was calibrated
                with such.
        """
        if self.normalised != (spread is not None):
            raise ValueError("calibrated with a predicted spread, or without: the same is needed here")
        half = self.factor * (np.ones(len(estimated)) if spread is None else spread)
        return estimated - half, estimated + half


def needed_patients(level: float) -> int:
    """Patients that are at least needed for a finite interval: level ≤ n / (n + 1)."""
    return math.ceil(level / (1 - level) - 1e-9)


def calibrate(
    days: np.ndarray,
    estimated: np.ndarray,
    spread: np.ndarray | None,
    patients: Sequence[str],
    *,
    fitted_on: Sequence[str],
    level: float = LEVEL,
) -> Conformal:
    """The factor from validation cases.

    Args:
        days, estimated: float (N,), true and estimated. spread: predicted standard deviations in days; None for none.
        patients: of each case. fitted_on: the patients that the estimator was fitted on.

    Raises:
        InputError: no case, a patient on both sides, a level outside (0, 1), or values that are not finite or spreads
            that are not positive.
    """
    if not 0 < level < 1:
        raise InputError(f"a level of {level} is no probability between 0 and 1, such as {LEVEL}")
    if not len(days):
        raise InputError("no validation cases to calibrate intervals on; give the cohort a val split")
    check_disjoint(training=fitted_on, validation=patients)
    scores = np.abs(days - estimated) / (1 if spread is None else spread)
    if not np.isfinite(scores).all() or (spread is not None and not (spread > 0).all()):
        raise InputError("ages, estimates and spreads to calibrate on must be finite, and spreads positive")
    factor, count = _quantile(scores, patients, level), len(set(patients))
    if not math.isfinite(factor):
        log.warning(
            "%d validation patients allow no finite interval of level %g, which takes %d; give more, or lower it",
            *(count, level, needed_patients(level)),
        )
    return Conformal(level, factor, len(days), count, spread is not None)


def _quantile(scores: np.ndarray, patients: Sequence[str], level: float) -> float:
    """The smallest score that a share ``level`` of K + 1 patients does not exceed, one of them infinite."""
    names, patient_of, cases = np.unique(np.asarray(patients), return_inverse=True, return_counts=True)
    order = np.argsort(scores, kind="stable")
    below = np.cumsum(1 / cases[patient_of][order])
    # Sums of thirds and the like are not exact.
    enough = below >= (len(names) + 1) * level - 1e-9
    return float(scores[order][np.argmax(enough)]) if enough.any() else math.inf
