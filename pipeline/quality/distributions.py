"""Two samples of one number: how far apart they are.

By the Wasserstein-1 distance, the mean way a value has to move for one sample to become the other, in units of the
reference's standard deviation. It is never 0 between finite samples of one distribution, and larger for fewer of them:
read it beside its floor. Values that are nan are left out.
"""

from collections.abc import Mapping

import numpy as np
from scipy.stats import wasserstein_distance

PERIOD = 180.0
"""Degrees after which an axis points the same way again."""


def compare(samples: Mapping[str, np.ndarray], reference: np.ndarray, axial: bool = False) -> dict[str, dict]:
    """``reference`` and each sample's name → :func:`spread`, and of samples their ``distance`` from the reference.

    Args:
        samples: float (N,) each. reference: float (M,). axial: the values are directions of axes in degrees.
    """
    return {"reference": spread(reference, axial)} | {
        name: {"distance": distance(values, reference, axial), **spread(values, axial)}
        for name, values in samples.items()
    }


def spread(values: np.ndarray, axial: bool = False) -> dict:
    """mean and std (None without a value), n values, and how many are undefined (nan)."""
    known = values[np.isfinite(values)]
    mean, std = mean_and_std(known, axial) if known.size else (None, None)
    return {"mean": mean, "std": std, "n": known.size, "undefined": values.size - known.size}


def distance(values: np.ndarray, reference: np.ndarray, axial: bool = False) -> float | None:
    """In standard deviations of the reference; None where a sample has no value or the reference does not vary."""
    a, b = values[np.isfinite(values)], reference[np.isfinite(reference)]
    if not a.size or not b.size or np.ptp(b) <= 1e-9:
        return None
    return float((axial_distance(a, b) if axial else wasserstein_distance(a, b)) / mean_and_std(b, axial)[1])


def mean_and_std(values: np.ndarray, axial: bool = False) -> tuple[float, float]:
    """Mean and standard deviation of (N,) values, N ≥ 1.

    For axes the mean axis, in [0, 180), and the root mean square of the turns from it, each at most 90 degrees:
    at most 52 degrees for axes that point everywhere alike.
    """
    if not axial:
        return float(values.mean()), float(values.std())
    mean = np.degrees(np.angle(np.exp(2j * np.radians(values)).mean())) / 2
    turns = (values - mean + PERIOD / 2) % PERIOD - PERIOD / 2
    return float(mean % PERIOD), float(np.sqrt(np.mean(turns**2)))


def axial_distance(a: np.ndarray, b: np.ndarray) -> float:
    """Wasserstein-1 distance, in degrees, between two samples of axes, (N,) and (M,), on the circle of 180 degrees.

    Exact: on a circle it is the smallest integral of |F - G - c| over a constant c, which the median of F - G attains
    (Rabin, Delon and Gousseau, 2011).
    """
    a, b = np.sort(a % PERIOD), np.sort(b % PERIOD)
    points = np.sort(np.concatenate([a, b]))
    widths = np.diff(points, append=points[0] + PERIOD)
    gaps = np.searchsorted(a, points, side="right") / len(a) - np.searchsorted(b, points, side="right") / len(b)
    order = np.argsort(gaps)
    half = np.searchsorted(np.cumsum(widths[order]), PERIOD / 2)
    return float(np.abs(gaps - gaps[order][half]) @ widths)
