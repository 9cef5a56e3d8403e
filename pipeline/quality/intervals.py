"""95 % intervals over images by the bootstrap: what other images of the same generator would score."""

from collections.abc import Callable

import numpy as np

from pipeline.run import seeds

LEVEL = 0.95
RESAMPLES = 1000


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
    statistic: Callable[[np.ndarray], float], count: int, value: float, resamples: int, seed: int
) -> tuple[float, float] | tuple[None, None]:
    """Centred percentile interval of a statistic of resampled rows.

    Resampling repeats rows, which moves distances between distributions away from ``value``: the resamples are moved
    back by what their mean is off.

    Args:
        statistic: int (count,), the rows drawn → the statistic.
    """
    if resamples < 2:
        return None, None
    rng = seeds.numpy_generator(seed, "statistic interval")
    found = np.array([statistic(rng.integers(count, size=count)) for _ in range(resamples)])
    return limits(value + found - found.mean())


def limits(values: np.ndarray) -> tuple[float, float]:
    """The quantiles of resampled values, float (R,), between which 95 % of them lie."""
    low, high = np.quantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)
