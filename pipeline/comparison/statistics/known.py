"""Means and shares of values that not every case has, with intervals over patients."""

from dataclasses import dataclass

import numpy as np

from pipeline.comparison.statistics.resampling import LEVEL, Interval, Patients, percentile_limits


@dataclass(frozen=True)
class KnownMean:
    """Mean of the known values; None where there is none.

    patients: its interval over patients. known, total: how many of the cases × replicates have a value.
    """

    value: float | None
    patients: Interval | None
    known: int
    total: int


def known_mean(values: np.ndarray, patients: Patients) -> KnownMean:
    """Of float (R, C), replicates by cases, nan where unknown; patients are resampled with what is known of them."""
    known = np.isfinite(values)
    count = int(known.sum())
    if not count:
        return KnownMean(None, None, 0, values.size)
    counts = patients.means(known.sum(axis=0).astype(float))
    sums = patients.means(np.where(known, values, 0.0).sum(axis=0))
    draws, interval = sums[counts > 0] / counts[counts > 0], None
    if patients.n > 1 and len(draws):
        interval = Interval(*percentile_limits(draws), patients.n)
    return KnownMean(float(values[known].mean()), interval, count, values.size)


@dataclass(frozen=True)
class Share:
    """``part`` of ``whole`` cases × replicates; value and interval are None where they are of none."""

    value: float | None
    patients: Interval | None
    part: int
    whole: int


def known_share(part: np.ndarray, whole: np.ndarray, patients: Patients) -> Share:
    """The share of bool (R, C) ``part`` in bool (R, C) ``whole``, which holds it.

    The interval is Wilson's (Journal of the American Statistical Association 1927) with the effective number of cases
    in the place of theirs (Korn & Graubard, Survey Methodology 1998): that with which single cases would vary as much
    as the patients do, with all their cases and replicates. A share of 0 or 1 varies by as many cases as there are
    patients in the whole. So none has an interval without width, as a bootstrap's would be.
    """
    from scipy.stats import norm

    parts, wholes = int(part.sum()), int(whole.sum())
    if not wholes:
        return Share(None, None, 0, 0)
    value = parts / wholes
    names, patient_of = np.unique(np.asarray(patients.of_cases), return_inverse=True)
    of_patient = np.bincount(patient_of, weights=(part - value * whole).sum(axis=0), minlength=len(names))
    n = len(np.unique(patient_of[whole.any(axis=0)]))
    if n < 2:
        return Share(value, None, parts, wholes)
    variance = n / (n - 1) * (of_patient**2).sum() / wholes**2
    if 0 < parts < wholes:
        most = float(whole.any(axis=0).sum())
        n_effective = min(value * (1 - value) / variance, most) if variance > 0 else most
    else:
        n_effective = float(n)
    z = norm.ppf((1 + LEVEL) / 2)
    centre = (value + z**2 / (2 * n_effective)) / (1 + z**2 / n_effective)
    half = z * np.sqrt(value * (1 - value) / n_effective + (z / (2 * n_effective)) ** 2) / (1 + z**2 / n_effective)
    return Share(value, Interval(float(max(centre - half, 0.0)), float(min(centre + half, 1.0)), n), parts, wholes)
