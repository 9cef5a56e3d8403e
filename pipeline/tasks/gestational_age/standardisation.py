"""Features in standard deviations of the training cases, with what is not defined filled in and said so."""

from dataclasses import dataclass

import numpy as np

LIMIT = 5.0
"""Standard deviations beyond which a feature counts as that: third and fourth moments have long tails."""


@dataclass(frozen=True)
class Standardisation:
    """Statistics of F features on training cases, each float64 (F,) but ``gaps``, bool (F,).

    median: stands in for a missing value. mean, sd: of the known values; a feature that does not vary has ``sd`` 0 and
    is then 0 everywhere. gaps: features that both were missing and known in training; their indicator is a feature too.
    An indicator that was never on, or always, has taught nothing, and is left at 0.
    """

    median: np.ndarray
    mean: np.ndarray
    sd: np.ndarray
    gaps: np.ndarray

    @classmethod
    def fit(cls, values: np.ndarray) -> "Standardisation":
        """Statistics of float (N, F), nan where missing."""
        known = np.isfinite(values)
        count = known.sum(axis=0)
        whole = np.where(known, values, np.nan)
        some = count > 0
        median, mean, sd = (np.zeros(values.shape[1]) for _ in range(3))
        median[some] = np.nanmedian(whole[:, some], axis=0)
        mean[some], sd[some] = np.nanmean(whole[:, some], axis=0), np.nanstd(whole[:, some], axis=0)
        # Rounding leaves a trace of variance in a constant.
        sd[sd <= 1e-9 * np.maximum(np.abs(mean), 1e-12)] = 0
        return cls(median, mean, sd, some & (count < len(values)))

    @classmethod
    def of_tokens(cls, tokens: np.ndarray) -> "Standardisation":
        """Statistics of the C channels of float (N, T, C) over cases and tokens; nothing is missing."""
        mean, square = np.zeros(tokens.shape[2]), np.zeros(tokens.shape[2])
        for case in tokens:
            values = case.astype(np.float64)
            mean += values.mean(axis=0) / len(tokens)
            square += (values**2).mean(axis=0) / len(tokens)
        sd = np.sqrt(np.maximum(square - mean**2, 0))
        sd[sd <= 1e-6 * np.abs(mean)] = 0
        return cls(mean, mean, sd, np.zeros(len(mean), dtype=bool))

    def apply(self, values: np.ndarray) -> np.ndarray:
        """float (N, F) → float64 (N, F + G): features in standard deviations, then the indicators of the G gaps."""
        known = np.isfinite(values)
        scale = np.divide(1, self.sd, out=np.zeros_like(self.sd), where=self.sd > 0)
        standard = (np.where(known, values, self.median) - self.mean) * scale
        return np.concatenate([np.clip(standard, -LIMIT, LIMIT), ~known[:, self.gaps]], axis=1)

    def arrays(self) -> dict[str, np.ndarray]:
        """What a file keeps of it."""
        return {"median": self.median, "mean": self.mean, "sd": self.sd, "gaps": self.gaps}
