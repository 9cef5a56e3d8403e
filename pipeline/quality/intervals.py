"""95 % intervals over images by the bootstrap: what other images of the same kind would score.

Source: Efron & Tibshirani, "An Introduction to the Bootstrap" (1993), chapter 13.
"""

from collections.abc import Callable

import numpy as np

from pipeline.run import seeds

LEVEL = 0.95
RESAMPLES = 1000
STRATIFIED_RESAMPLES = 2000

Statistic = Callable[[np.ndarray], float]
"""int (N,), the rows drawn, which may repeat → the statistic."""


def limits(values: np.ndarray, method: str = "linear") -> tuple[float, float]:
    """The quantiles of resampled values, float (R,), between which 95 % of them lie; ``method`` is numpy's."""
    low, high = np.quantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], method=method)
    return float(low), float(high)


def mean_interval(values: np.ndarray, seed: int) -> tuple[float, float] | tuple[None, None]:
    """Percentile interval of the mean of float (N,) values; nan is left out, None for fewer than two values."""
    known = values[np.isfinite(values)]
    if len(known) < 2:
        return None, None
    drawn = seeds.numpy_generator(seed, "mean interval").multinomial(
        len(known), np.full(len(known), 1 / len(known)), size=RESAMPLES
    )
    return limits(drawn @ known / len(known))


def statistic_interval(
    statistic: Statistic, count: int, value: float, resamples: int, seed: int
) -> tuple[float, float] | tuple[None, None]:
    """Centred percentile interval of a statistic of ``count`` resampled rows; None for fewer than two resamples.

    Resampling repeats rows, which moves distances between distributions away from ``value``: the resamples are moved
    back by what their mean is off.
    """
    if resamples < 2:
        return None, None
    rng = seeds.numpy_generator(seed, "statistic interval")
    found = np.array([statistic(rng.integers(count, size=count)) for _ in range(resamples)])
    return limits(value + found - found.mean())


def stratified_interval(
    statistic: Statistic, strata: np.ndarray, generator: np.random.Generator, resamples: int = STRATIFIED_RESAMPLES
) -> tuple[float, float]:
    """Percentile interval under resampling within each stratum: as many of each kind are drawn as there are.

    Resamples for which the statistic is not finite are left out; nan where none is. A statistic at its limit (an AUC of
    1) does not vary between resamples, and its interval then has no width.

    Args:
        strata: (N,), the kind of every row.
    """
    kinds = [np.flatnonzero(strata == kind) for kind in np.unique(strata)]
    drawn = np.concatenate([generator.choice(kind, (resamples, len(kind))) for kind in kinds], axis=1)
    values = np.array([statistic(rows) for rows in drawn])
    values = values[np.isfinite(values)]
    return limits(values) if len(values) else (float("nan"), float("nan"))
