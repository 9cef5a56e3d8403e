"""The intensity histogram: statistics of bins that those of the grey levels do not have (IBSI, section 3.4).

The others of IBSI's intensity histogram are the statistics of :mod:`pipeline.features.radiomics.first_order`, of the
levels; they tell little that the grey levels do not.
"""

import numpy as np

NAMES = (
    "mode",
    "entropy",
    "uniformity",
    "maximum_gradient",
    "maximum_gradient_level",
    "minimum_gradient",
    "minimum_gradient_level",
)


def features(levels: np.ndarray, count: int) -> np.ndarray:
    """float64 (7,) of levels (N,) from 1 to ``count``, named by ``NAMES``; entropy in bits, gradients a level.

    The mode is the commonest level, of several the one nearest to the mean, and of these the lower. Of gradients the
    first level that has the largest, or the least, counts. One level alone has gradients of 0, at that level.
    """
    frequencies = np.bincount(levels, minlength=count + 1)[1:].astype(np.float64)
    numbers = np.arange(1, count + 1)
    shares = frequencies / len(levels)
    commonest = numbers[frequencies == frequencies.max()]
    mode = commonest[np.argmin(np.abs(commonest - shares @ numbers))]
    occurring = shares[shares > 0]
    gradient = np.gradient(frequencies) if count > 1 else np.zeros(1)
    steepest, lowest = gradient.argmax(), gradient.argmin()
    return np.array(
        [
            mode,
            -(occurring @ np.log2(occurring)) + 0.0,
            shares @ shares,
            gradient[steepest],
            numbers[steepest],
            gradient[lowest],
            numbers[lowest],
        ]
    )
