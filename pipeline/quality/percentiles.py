"""Distributions of per-image numbers as percentile curves, synthetic beside real unseen."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pipeline.run.errors import InputError

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
REQUIRED = ("obedience", "distance")


def check_table(table: Sequence[dict[str, str]], source: Path) -> None:
    """Hold the table of samples, read from ``source``, against what the page and the curves need.

    Raises:
        InputError: no synthetic row, a missing column, or a field that is not a number, with its row.
    """
    remedy = "run `dvc repro score`"
    if not any(row.get("set") == "synthetic" for row in table):
        raise InputError(f"{source}: holds no row of set 'synthetic'; {remedy}")
    if missing := [name for name in ("id", "nearest", "copy", "imprinted", *NUMBERS) if name not in table[0]]:
        raise InputError(f"{source}: column '{missing[0]}' is missing; {remedy}")
    for row in table:
        for name in NUMBERS:
            if row[name] == "" and (row["set"] != "synthetic" or name not in REQUIRED):
                continue
            try:
                float(row[name])
            except (TypeError, ValueError):
                raise InputError(
                    f"{source}: case '{row['id']}': {name} is '{row[name]}', not a number; {remedy}"
                ) from None


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
