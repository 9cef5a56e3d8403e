"""Distributions of per-image numbers as percentile curves, synthetic beside real unseen."""

from collections.abc import Sequence

import numpy as np

NUMBERS = {
    "obedience": "mask obedience, Dice",
    "distance": "distance to the nearest image shown",
    "imprint": "contour imprint",
    "area": "area of the head, share of the image",
    "aspect": "aspect ratio of the head",
    "grey_mean": "mean grey level of the head",
    "grey_std": "contrast of the head, grey levels",
    "snr": "speckle SNR",
    "axial_px": "axial speckle length, px",
    "lateral_px": "lateral speckle length, px",
}
"""Columns of the table of samples, and what they are called."""
STEPS = np.arange(0, 101, 2)


def values_of(table: Sequence[dict[str, str]], which: str, column: str) -> np.ndarray:
    """The known values of a column in one of the sets ``synthetic`` and ``unseen``."""
    return np.array([float(row[column]) for row in table if row["set"] == which and row[column] != ""])


def percentile_tables(table: Sequence[dict[str, str]]) -> dict[str, list[dict[str, float]]]:
    """column → rows percentile, synthetic, unseen; without the columns that one of the sets has no value of."""
    tables = {}
    for column in NUMBERS:
        known = {which: values_of(table, which, column) for which in ("synthetic", "unseen")}
        if all(len(values) for values in known.values()):
            curves = {which: np.percentile(values, STEPS) for which, values in known.items()}
            tables[column] = [
                {"percentile": float(step), **{which: float(curve[i]) for which, curve in curves.items()}}
                for i, step in enumerate(STEPS)
            ]
    return tables
