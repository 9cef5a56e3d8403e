"""Estimated ages as rows of a table."""

from collections.abc import Iterator

import numpy as np

from pipeline.tasks.gestational_age.conformal import Conformal
from pipeline.tasks.gestational_age.estimators import Estimator
from pipeline.tasks.gestational_age.scores import COLUMNS
from pipeline.tasks.gestational_age.table import Inputs


def rows_of(
    cohort: str, scale: float, inputs: Inputs, estimator: Estimator, intervals: Conformal
) -> Iterator[dict[str, str | float | None]]:
    """``COLUMNS`` of each case, in days; None where there is no estimate, limits also where an interval has none."""
    found = estimator.estimate(inputs)
    low, high = intervals.interval(found.days, found.sd)
    for case, *values in zip(inputs.ids, found.days, low, high, strict=True):
        known = (float(one) if np.isfinite(one) else None for one in values)
        yield dict(zip(COLUMNS, (cohort, case, scale, *known), strict=True))
