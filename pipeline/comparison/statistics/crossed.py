"""One interval for both sources of chance: other patients and other runs.

Every replicate is scored on the same patients, as every reader of a multi-reader multi-case study reads the same cases:
a two-way crossed design with one value a cell. The variance of its mean is that of Cornfield & Tukey (Annals of
Mathematical Statistics 1956), a negative patient component counts as zero as in the analysis of Obuchowski & Rockette
(Communications in Statistics 1995; Hillis, Statistics in Medicine 2007), degrees of freedom are Satterthwaite's (1946).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Crossed:
    """A mean over patients and replicates, its standard error, and the degrees of freedom of that error."""

    mean: float
    error: float
    freedom: float

    def interval(self, level: float) -> tuple[float, float]:
        """Student's t interval of the mean for other patients and other replicates."""
        half = self._quantile((1 + level) / 2) * self.error
        return self.mean - half, self.mean + half

    @property
    def p_value(self) -> float:
        """Two-sided, of no difference."""
        from scipy.stats import t

        if self.error == 0:
            return float(self.mean == 0)
        return float(2 * t.sf(abs(self.mean) / self.error, self.freedom))

    def detectable(self, alpha: float, power: float) -> float:
        """The smallest true difference that a two-sided test at ``alpha`` finds with probability ``power``.

        With this many patients and replicates, and the variances seen (Cohen 1988; quantiles of t for the normal's).
        """
        return (self._quantile(1 - alpha / 2) + self._quantile(power)) * self.error

    def _quantile(self, probability: float) -> float:
        from scipy.stats import t

        return float(t.ppf(probability, self.freedom))


def crossed(values: np.ndarray, patients: Sequence[str]) -> Crossed | None:
    """The mean of float (R, N) scores, replicates by cases; None for one replicate or one patient.

    Cases weigh equally. A patient's share in the variance is that of the linearised mean, so that patients may have
    different numbers of cases.
    """
    names, patient_of = np.unique(np.asarray(patients), return_inverse=True)
    n_replicates, n_patients = len(values), len(names)
    if n_replicates < 2 or n_patients < 2:
        return None
    mean = values.mean()
    sums = np.stack([np.bincount(patient_of, weights=row, minlength=n_patients) for row in values - mean])
    table = sums * (n_patients / values.shape[1])
    replicate, patient = table.mean(axis=1, keepdims=True), table.mean(axis=0, keepdims=True)
    # The table's own mean is zero.
    of_replicates = n_patients * (replicate**2).sum() / (n_replicates - 1)
    of_patients = n_replicates * (patient**2).sum() / (n_patients - 1)
    freedom = (n_replicates - 1) * (n_patients - 1)
    of_both = ((table - replicate - patient) ** 2).sum() / freedom
    terms = [of_replicates**2 / (n_replicates - 1)]
    if of_patients > of_both:
        terms += [of_patients**2 / (n_patients - 1), of_both**2 / freedom]
    variance = of_replicates + max(of_patients - of_both, 0.0)
    freedom = variance**2 / sum(terms) if sum(terms) else float(n_replicates - 1)
    return Crossed(float(mean), float(np.sqrt(variance / table.size)), float(freedom))


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values adjusted for their number: below alpha, no true null among them was likelier rejected than alpha.

    Holm, Scandinavian Journal of Statistics 1979.
    """
    order = np.argsort(p_values, kind="stable")
    scaled = np.asarray(p_values, float)[order] * np.arange(len(order), 0, -1)
    adjusted = np.empty(len(order))
    adjusted[order] = np.minimum(np.maximum.accumulate(scaled), 1.0)
    return adjusted.tolist()
