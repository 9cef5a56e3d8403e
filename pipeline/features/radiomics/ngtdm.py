"""Neighbourhood grey-tone difference matrix (Amadasun and King, 1989; IBSI, section 3.10): distance 1."""

import numpy as np

NAMES = ("coarseness", "contrast", "busyness", "complexity", "strength")
UNIFORM_COARSENESS = 1e6
"""Coarseness where no pixel differs from its neighbours, as IBSI has it."""


def features(levels: np.ndarray, count: int) -> np.ndarray:
    """float64 (5,) of levels (H, W), 1 to ``count`` and 0 outside the region, named by ``NAMES``.

    Pixels without a neighbour in the region do not count; all are nan where there is no other pixel. Where no pixel
    differs from its neighbours coarseness is ``UNIFORM_COARSENESS`` and the others are 0.
    """
    numbers, differences = tone_differences(levels, count)
    total = numbers.sum()
    if total == 0:
        return np.full(len(NAMES), np.nan)
    found = np.flatnonzero(numbers)
    level, share, difference = found + 1.0, numbers[found] / total, differences[found]
    weighted, summed = share * difference, difference.sum()
    if summed == 0:
        return np.array([UNIFORM_COARSENESS, 0.0, 0.0, 0.0, 0.0])
    gap = level[:, None] - level
    both = share[:, None] + share
    spread = share @ gap**2 @ share / (len(found) * (len(found) - 1))
    unrest = np.abs((level * share)[:, None] - level * share).sum()
    return np.array(
        [
            1 / weighted.sum(),
            spread * summed / total,
            weighted.sum() / unrest if unrest > 0 else 0.0,
            (np.abs(gap) * (weighted[:, None] + weighted) / both).sum() / total,
            (both * gap**2).sum() / summed,
        ]
    )


def tone_differences(levels: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """By level, (count,) each: pixels that have a neighbour, and the sum of their distances to its neighbours' mean."""
    inside = levels > 0
    among = _sum_around(inside.astype(np.uint16))
    counted = inside & (among > 0)
    own = levels[counted]
    gaps = np.abs(own - _sum_around(levels)[counted] / among[counted])
    sizes = {"minlength": count + 1}
    return np.bincount(own, **sizes)[1:], np.bincount(own, weights=gaps, **sizes)[1:]


def _sum_around(values: np.ndarray) -> np.ndarray:
    """Sum over the eight neighbours of (H, W), of which 16 bits hold that of ``MAX_LEVELS`` levels."""
    framed = np.pad(values, 1)
    rows = framed[:-2] + framed[1:-1] + framed[2:]
    return rows[:, :-2] + rows[:, 1:-1] + rows[:, 2:] - values
