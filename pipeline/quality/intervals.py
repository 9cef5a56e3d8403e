"""95 % intervals over images, by resampling: what other images of the same kind would score."""

from collections.abc import Callable

import numpy as np

from pipeline.run import seeds

LEVEL = 0.95
RESAMPLES = 1000
STRATIFIED_RESAMPLES = 2000

Statistic = Callable[[np.ndarray], float | np.ndarray]
"""int (n,), the rows drawn → the statistic, or several of them."""


def mean_interval(values: np.ndarray, seed: int) -> tuple[float, float] | tuple[None, None]:
    """Bootstrap interval of the mean of float (N,) values; nan is left out, None for fewer than two values.

    Source: Efron & Tibshirani, "An Introduction to the Bootstrap" (1993), chapter 13.
    """
    known = values[np.isfinite(values)]
    if len(known) < 2:
        return None, None
    drawn = seeds.numpy_generator(seed, "mean interval").multinomial(
        len(known), np.full(len(known), 1 / len(known)), size=RESAMPLES
    )
    return _limits(drawn @ known / len(known))


def half_sample_interval(
    statistic: Statistic, count: int, value: float | np.ndarray, resamples: int, seed: int
) -> tuple[float, float] | tuple[np.ndarray, np.ndarray] | tuple[None, None]:
    """Interval of statistics of ``count`` rows, from those of random halves; None for fewer than two resamples.

    The bootstrap repeats rows, which distorts distances between sets and nearest neighbours. A half drawn without
    replacement repeats none, and varies around the mean of the halves as the whole does over other samples: the
    variance of a mean of n/2 rows is twice that of n, halved as the half is drawn from n. The halves are moved to
    ``value``, as distances depend on the number of rows.

    Source: Efron, "The Jackknife, the Bootstrap and Other Resampling Plans" (1982), chapter 8; Politis & Romano,
    "Large sample confidence regions based on subsamples", Annals of Statistics 22 (1994).
    """
    if resamples < 2:
        return None, None
    rng = seeds.numpy_generator(seed, "statistic interval")
    found = np.array([statistic(rng.permutation(count)[: count // 2]) for _ in range(resamples)])
    return _limits(value + found - found.mean(axis=0))


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
    return _limits(values) if len(values) else (float("nan"), float("nan"))


def _limits(values: np.ndarray) -> tuple[float, float] | tuple[np.ndarray, np.ndarray]:
    """The quantiles of resampled values, float (R, ...), between which 95 % of them lie."""
    low, high = np.quantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
    return low, high
