"""The bootstrap of the comparison: patients are resampled, alone or together with replicates.

Cases of one patient resemble each other, so patients are resampled, not cases: the cluster bootstrap of Davison &
Hinkley, "Bootstrap Methods and their Application" (1997), section 3.8, with percentile limits (Efron & Tibshirani, "An
Introduction to the Bootstrap" (1993), chapter 13).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.run import seeds

LEVEL = 0.95


@dataclass(frozen=True)
class Interval:
    """A 95 % interval over ``n`` patients or replicates."""

    low: float
    high: float
    n: int

    @property
    def side(self) -> int:
        """1 above zero, -1 below, 0 where zero is inside or at a limit."""
        return int(self.low > 0) - int(self.high < 0)


class Patients:
    """The patients of N cases and ``resamples`` draws of them, the same for every mean over these cases.

    Args:
        of_cases: the patient of each case. key: with the seed, names the draws.
    """

    def __init__(self, of_cases: Sequence[str], resamples: int, seed: int, *key: str):
        self.of_cases, self._seed = list(of_cases), seed
        names, self._patient_of = np.unique(np.asarray(self.of_cases), return_inverse=True)
        self.n = len(names)
        self._drawn = _draw(self.n, resamples, seed, *key)
        self._cases_drawn = self._drawn @ np.bincount(self._patient_of)

    def means(self, values: np.ndarray) -> np.ndarray:
        """Mean score of every resample, float (resamples,); ``values``: float (N,), one score per case."""
        return self._drawn @ np.bincount(self._patient_of, weights=values) / self._cases_drawn

    def means_with_replicates(self, values: np.ndarray) -> np.ndarray:
        """The same, with replicates resampled too: float (resamples,) from float (R, N).

        The draws are the same for every call with as many replicates, so replicates stay paired.
        """
        drawn = _draw(len(values), len(self._drawn), self._seed, "replicates") / len(values)
        return np.einsum("rb,br->b", np.stack([self.means(row) for row in values]), drawn)

    def interval(self, values: np.ndarray) -> Interval | None:
        """Percentile interval of the mean of N scores under resampling of patients with all their cases."""
        return None if self.n < 2 else Interval(*percentile_limits(self.means(values)), self.n)


def _draw(n: int, resamples: int, seed: int, *key: str) -> np.ndarray:
    """How often each of n things is drawn, int (resamples, n)."""
    return seeds.numpy_generator(seed, "compare", *key).multinomial(n, np.full(n, 1 / n), size=resamples)


def percentile_limits(draws: np.ndarray | Sequence[float], method: str = "linear") -> tuple[float, float]:
    """95 % limits of resampled values; ``method`` is numpy's, "inverted_cdf" where values may be infinite."""
    low, high = np.quantile(draws, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], method=method)
    return float(low), float(high)
