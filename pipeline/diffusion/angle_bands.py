"""Bands of the angle of progression, and how many of the sampled masks each is to have."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from pipeline.config.sample import Angles
from pipeline.run.errors import InputError


@dataclass(frozen=True)
class Band:
    """Angles in [low, high) degrees. words: as in "an angle ...". name: the key of its share."""

    name: str
    low: float
    high: float
    words: str

    def holds(self, angle: float) -> bool:
        """False for nan."""
        return self.low <= angle < self.high

    def draw(self, mean: float, sd: float, least: float, most: float, rng: np.random.Generator) -> float:
        """Degrees, from a normal distribution cut off to the band and to [least, most], what is plausible.

        Raises:
            InputError: nothing of the band is plausible.
        """
        from scipy.stats import truncnorm

        low, high = max(self.low, least), min(self.high, most)
        if low >= high or sd <= 0:
            raise InputError(
                f"sample.masks.angles asks for angles of progression {self.words}; with labels of {mean:.0f} ± "
                f"{sd:.0f} degrees {least:.0f} to {most:.0f} are plausible: raise grid.labels, or set its share to 0"
            )
        return float(truncnorm.ppf(rng.uniform(), (low - mean) / sd, (high - mean) / sd, mean, sd))


BANDS = (
    Band("below_90", -math.inf, 90.0, "below 90 degrees"),
    Band("between", 90.0, 140.0, "of 90 to 140 degrees"),
    Band("from_140", 140.0, math.inf, "of 140 degrees and more"),
)
"""Both ends are rare: in PSFHS about 4 % of the angles are below 90 and 22 % from 140 degrees."""
RARE = BANDS[0], BANDS[2]


def shares(angles: Iterable[float]) -> dict[str, float]:
    """Share of the angles in each band, and ``unmeasured``, of nan; to four digits."""
    known = np.array(list(angles), float)
    counts = {band.name: sum(map(band.holds, known)) for band in BANDS} | {"unmeasured": np.isnan(known).sum()}
    return {name: round(float(count) / max(len(known), 1), 4) for name, count in counts.items()}


def band_of(i: int, asked: Angles) -> tuple[Band, int]:
    """The band of mask i and how many before it are of the same: bands take their turns, each with its share."""
    below, middle, above = BANDS
    before, is_below = turn(i, asked.below_90)
    if is_below:
        return below, before
    rest = i - before
    above_before, is_above = turn(rest, asked.from_140 / (1 - asked.below_90))
    return (above, above_before) if is_above else (middle, rest - above_before)


def turn(i: int, share: float) -> tuple[int, bool]:
    """How many of the first i items are of a kind that takes ``share`` of all, evenly spread, and whether item i is."""
    before = int(i * share + 1e-9)
    return before, int((i + 1) * share + 1e-9) > before
