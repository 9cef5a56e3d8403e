"""Do brightness, contrast and speckle spread over images as they do over real ones?

A generator may draw every image at the mean brightness: each looks real, and together they teach a network that all
images are alike. The standard deviation over images is divided by that of real training images: 1 is as it should be,
0 all alike, and half and double are equally far off.
"""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from pipeline.quality.intervals import statistic_measure
from pipeline.quality.measurement import APPEARANCE, FIELD, Measured
from pipeline.quality.measures import CATALOGUE, Measure

LEAST = 4
"""Images with a value, below which a set has no spread: half of them has none to resample."""


def spread_measures(sets: Mapping[str, Measured], real: str, resamples: int, seed: int) -> list[Measure]:
    """The spread of ``synthetic`` in units of that of ``reference``, beside that of ``unseen``.

    Args:
        real: what the unseen images are called.
    """
    values = {
        "brightness_spread": {name: found.field[:, FIELD.index("field_mean")] for name, found in sets.items()},
        "contrast_spread": {name: found.field[:, FIELD.index("field_std")] for name, found in sets.items()},
        "speckle_spread": {name: found.appearance[:, APPEARANCE.index("snr")] for name, found in sets.items()},
    }
    return [_measure(name, found, real, resamples, seed) for name, found in values.items()]


def _measure(name: str, values: Mapping[str, np.ndarray], real: str, resamples: int, seed: int) -> Measure:
    own, unseen, reference = (_known(values[which]) for which in ("synthetic", "unseen", "reference"))
    unit = _spread(reference)
    best = None if unit is None or (found := _spread(unseen)) is None else found / unit
    ends = (best, real), (0.0, "all images alike")
    if not unit or len(own) < LEAST:
        return Measure(CATALOGUE[name][2], name, None, None, len(own), *ends[0], *ends[1])

    def ratio(rows: np.ndarray) -> float:
        return float(own[rows].std(ddof=1) / unit)

    found = statistic_measure(name, ratio, len(own), seed, resamples, *ends)
    return found if found.low is None else replace(found, low=max(0.0, found.low))


def _known(values: np.ndarray) -> np.ndarray:
    return values[np.isfinite(values)]


def _spread(values: np.ndarray) -> float | None:
    """None for too few values."""
    return float(values.std(ddof=1)) if len(values) >= LEAST else None
