"""Statistics of grey levels without regard to place (IBSI, sections 3.3 and 3.4)."""

import numpy as np

NAMES = (
    "mean",
    "variance",
    "skewness",
    "kurtosis",
    "median",
    "minimum",
    "percentile_10",
    "percentile_90",
    "maximum",
    "interquartile_range",
    "range",
    "mean_absolute_deviation",
    "robust_mean_absolute_deviation",
    "median_absolute_deviation",
    "coefficient_of_variation",
    "quartile_coefficient_of_dispersion",
    "energy",
    "root_mean_square",
)


def features(values: np.ndarray) -> np.ndarray:
    """float64 (18,) of float (N,), N at least 1, named by ``NAMES``.

    Kurtosis is in excess of a Gaussian's; percentiles are values that occur (the least that so many do not exceed); the
    median of an even number lies halfway. Values that are all equal have a skewness, a kurtosis and coefficients of 0.
    The coefficients are nan where their denominators are 0 for another reason, as they may be with negative values.
    """
    ordered = np.sort(values)
    least, largest = ordered[0], ordered[-1]
    low, first, third, high = (ordered[-(-len(ordered) * percent // 100) - 1] for percent in (10, 25, 75, 90))
    median = (ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]) / 2
    # From the least value: equal values then have deviations of 0, whatever their mean rounds to.
    mean = least + (ordered - least).mean()
    deviations = ordered - mean
    squares = deviations * deviations
    variance = squares.mean()
    skewness = _ratio((squares * deviations).mean(), variance**1.5)
    kurtosis = _ratio((squares * squares).mean(), variance**2, equal=3.0) - 3
    middle = ordered[np.searchsorted(ordered, low) : np.searchsorted(ordered, high, side="right")] - low
    energy = ordered @ ordered
    return np.array(
        [
            mean,
            variance,
            skewness,
            kurtosis,
            median,
            least,
            low,
            high,
            largest,
            third - first,
            largest - least,
            np.abs(deviations).mean(),
            np.abs(middle - middle.mean()).mean(),
            np.abs(ordered - median).mean(),
            _ratio(np.sqrt(variance), mean),
            _ratio(third - first, third + first),
            energy,
            np.sqrt(energy / len(ordered)),
        ]
    )


def _ratio(above: float, below: float, equal: float = 0.0) -> float:
    """``equal`` where there is no spread to speak of."""
    if below == 0:
        return equal if above == 0 else np.nan
    return above / below
