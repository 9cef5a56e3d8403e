"""95 % intervals over images, by resampling: what other images of the same kind would score; and measures with them."""

from collections.abc import Callable

import numpy as np

from pipeline.quality.measures import CATALOGUE, Measure
from pipeline.run import seeds

LEVEL = 0.95
RESAMPLES = 1000
STRATIFIED_RESAMPLES = 2000

End = tuple[float | None, str | None]
"""The best or the worst reference of a measure: what it scores, and what it is."""
Statistic = Callable[[np.ndarray], float | np.ndarray]
"""int (n,), the rows drawn → the statistic, or several of them."""


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


def mean_measure(
    name: str, values: np.ndarray, seed: int, best: End, worst: End, view: str | None = None, spread: bool = False
) -> Measure:
    """The mean of float or bool (N,) values of images, nan left out, and their standard deviation where asked for.

    The interval is the bootstrap's: Efron & Tibshirani, "An Introduction to the Bootstrap" (1993), chapter 13.
    """
    known, low, high = values[np.isfinite(values)], None, None
    if known.size > 1:
        rng, even = seeds.numpy_generator(seed, "mean interval"), np.full(known.size, 1 / known.size)
        low, high = _limits(rng.multinomial(known.size, even, size=RESAMPLES) @ known / known.size)
    mean, std = (float(known.mean()), float(known.std())) if known.size else (None, None)
    return Measure(CATALOGUE[name][2], name, view, mean, known.size, *best, *worst, low, high, std if spread else None)


def statistic_measure(
    name: str,
    statistic: Statistic,
    count: int,
    seed: int,
    resamples: int,
    best: End,
    worst: End,
    view: str | None = None,
) -> Measure:
    """A statistic of ``count`` images with its interval; see :func:`half_sample_interval`."""
    value = float(statistic(np.arange(count)))
    interval = half_sample_interval(statistic, count, value, resamples, seed)
    return Measure(CATALOGUE[name][2], name, view, value, count, *best, *worst, *interval)


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
