"""Grey levels put into bins (IBSI, section 2.7)."""

import numpy as np

from pipeline.config.binning import MAX_LEVELS, FixedBinNumber, FixedBinWidth
from pipeline.run.errors import InputError


def discretise(values: np.ndarray, binning: FixedBinWidth | FixedBinNumber) -> tuple[np.ndarray, int]:
    """Levels of the grey levels of a region, from 1 upwards, uint16 (N,), and how many levels there are.

    Fixed bin width: ⌊(x − minimum) / width⌋ + 1, and as many levels as the largest. Fixed bin number:
    ⌊count (x − least) / (largest − least)⌋ + 1, the largest in the last bin; one grey level alone is in the first.

    Args:
        values: float (N,), N at least 1, finite.

    Raises:
        InputError: a value below the minimum of bins of fixed width, or more than ``MAX_LEVELS`` bins.
    """
    if isinstance(binning, FixedBinNumber):
        least, largest = values.min(), values.max()
        width = largest - least
        if width == 0:
            return np.ones(len(values), dtype=np.uint16), binning.count
        # Multiplied first: a product of whole numbers is exact, so that no pixel is a bin too low.
        bins = np.floor(binning.count * (values - least) / width)
        return np.minimum(bins + 1, binning.count).astype(np.uint16), binning.count
    bins = np.floor((values - binning.minimum) / binning.width)
    if bins.min() < 0:
        least = f"the least grey level is {values.min():g}"
        raise InputError(f"bins of fixed width begin at minimum={binning.minimum:g}; {least}: lower the minimum")
    count = int(bins.max()) + 1
    if count > MAX_LEVELS:
        raise InputError(f"bins of width {binning.width:g} are {count} levels, {MAX_LEVELS} at most: widen them")
    return (bins + 1).astype(np.uint16), count
