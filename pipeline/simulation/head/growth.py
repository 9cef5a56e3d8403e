"""How old a simulated fetus is and how large her head: drawn together, so that the true age is known.

The age is drawn first, by trimester. The circumference (HC) is the median for that age times a normal factor of mean 1
and standard deviation 3 %, the fetus' own and independent of her age: biological variation. So HC tells the age no
better than that factor lets it. What the brain shows at an age (``brain.py``) tells of it too, whatever HC is.

Median: Hadlock et al. 1984 (Radiology 152: 497). In the INTERGROWTH-21st standards the standard deviation of HC, errors
of measurement included, is 4.3 % of the mean at 20 weeks, 3.3 % at 30 and 3.4 % at 36 (Papageorghiou et al. 2014,
Lancet 384: 869).
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtr

FIRST_WEEKS, THIRD_WEEKS = (11.8, 14.5), (24.0, 40.0)
"""Ends of uniform distributions of the age at 11–14 and 24–40 weeks."""
SECOND_WEEKS = (20.5, 1.4)
"""Mean and standard deviation of the age at 17–24 weeks, normal."""
HC_SD = 0.03
"""Standard deviation of HC at an age, of its median."""
LARGEST_MM = 350.0
"""A larger head is drawn with this circumference."""
_DAYS = np.arange(70, 285, 0.25)
_STEP_MM = 0.5
_NONE = 1e-12
"""Density of heads, per mm, below which there are none."""


def head_circumference_mm(gestational_age_weeks: ArrayLike) -> np.ndarray:
    """Median head circumference for 10 to 41 weeks, after Hadlock et al. 1984 (Radiology 152: 497), in millimetres."""
    weeks = gestational_age_weeks
    return 10 * (-11.48 + 1.56 * weeks - 0.0002548 * weeks**3)


def draw_growth(rng: np.random.Generator, trimester_weights: Sequence[float]) -> tuple[float, float]:
    """The age in weeks and the circumference in millimetres of a fetus.

    Args:
        trimester_weights: chance of 11–14, 17–24 and 24–40 weeks.
    """
    trimester = rng.choice(3, p=trimester_weights)
    weeks = (rng.uniform(*FIRST_WEEKS), rng.normal(*SECOND_WEEKS), rng.uniform(*THIRD_WEEKS))[trimester]
    circumference = min(head_circumference_mm(weeks) * rng.normal(1, HC_SD), LARGEST_MM)
    return float(weeks), float(circumference)


def best_age(hc_mm: ArrayLike, trimester_weights: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
    """What HC alone tells of the age of a simulated fetus: the median of the age given HC, and its mean absolute error.

    No predictor that reads HC alone has a smaller one in this population.

    Args:
        hc_mm: (N,), mm. trimester_weights: see :func:`draw_growth`.

    Returns:
        Two float64 (N,) in days: the best guess, and the floor. nan where the population has no such head.
    """
    ages = _age_probabilities(trimester_weights)
    likelihood = _hc_density(np.asarray(hc_mm, dtype=float)[:, None])
    joint = ages * likelihood
    total = joint.sum(axis=1, keepdims=True)
    posterior = joint / np.where(total > _NONE, total, np.nan)
    guess = _DAYS[(np.cumsum(posterior, axis=1) >= 0.5).argmax(axis=1)]
    floor = (posterior * np.abs(_DAYS - guess[:, None])).sum(axis=1)
    return np.where(np.isnan(floor), np.nan, guess), floor


def floor_days(trimester_weights: Sequence[float]) -> float:
    """The smallest mean absolute error, in days, that a predictor from HC alone has over a simulated population."""
    sizes = np.append(np.arange(40, LARGEST_MM, _STEP_MM), LARGEST_MM)
    share = (_age_probabilities(trimester_weights) * _hc_density(sizes[:, None])).sum(axis=1)
    share[:-1] *= _STEP_MM
    return float(np.nansum(share * best_age(sizes, trimester_weights)[1]) / share.sum())


def _age_probabilities(trimester_weights: Sequence[float]) -> np.ndarray:
    """Of the ages ``_DAYS``."""
    weeks = _DAYS / 7
    parts = [
        ((weeks >= FIRST_WEEKS[0]) & (weeks <= FIRST_WEEKS[1])).astype(float),
        _normal(weeks, *SECOND_WEEKS),
        ((weeks >= THIRD_WEEKS[0]) & (weeks <= THIRD_WEEKS[1])).astype(float),
    ]
    return sum(weight * part / part.sum() for weight, part in zip(trimester_weights, parts, strict=True))


def _hc_density(hc_mm: np.ndarray) -> np.ndarray:
    """Density of circumferences (N, 1) at the ages ``_DAYS``, per mm; the probability of it at ``LARGEST_MM``."""
    median = head_circumference_mm(_DAYS / 7)
    density = np.where(hc_mm > LARGEST_MM, 0, _normal(hc_mm, median, HC_SD * median))
    return np.where(hc_mm == LARGEST_MM, ndtr((median - LARGEST_MM) / (HC_SD * median)), density)


def _normal(value: np.ndarray, mean: ArrayLike, sd: ArrayLike) -> np.ndarray:
    """Density of the normal distribution."""
    return np.exp(-(((value - mean) / sd) ** 2) / 2) / (np.sqrt(2 * np.pi) * sd)
