"""One row an image, synthetic and real unseen: what distributions and the most suspicious samples are shown from."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from pipeline.data.tables import read_table
from pipeline.quality.measures import COLUMNS, PAIR_COLUMNS, STRUCTURE_COLUMN
from pipeline.run.errors import InputError

REQUIRED = ("mask_agreement", "distance")
BY_STRUCTURE = "mask_agreement_"
"""Before the name of one of several structures: the column of its own mask agreement."""
STEPS = np.arange(0, 101, 2)


def read_samples(path: Path) -> list[dict]:
    """The rows of a file of :func:`pipeline.quality.assessment.sample_rows`, numbers as float or None.

    Raises:
        InputError: no synthetic row, a missing column, or a field that is not a number, with its row.
    """
    remedy = "run `dvc repro score`"
    table = read_table(path)
    if not any(row.get("set") == "synthetic" for row in table):
        raise InputError(f"{path}: holds no row of set 'synthetic'; {remedy}")
    if missing := [name for name in ("id", "nearest", "copy", "imprinted", *COLUMNS) if name not in table[0]]:
        raise InputError(f"{path}: column '{missing[0]}' is missing; {remedy}")
    for row in table:
        for name in titles(table):
            optional = row["set"] != "synthetic" or name not in REQUIRED
            try:
                row[name] = None if optional and row[name] == "" else float(row[name])
            except (TypeError, ValueError):
                wrong = f"case '{row['id']}': {name} is '{row[name]}', not a number"
                raise InputError(f"{path}: {wrong}; {remedy}") from None
        row |= {name: row[name] == "True" for name in ("copy", "imprinted")}
    return table


def titles(table: Sequence[Mapping]) -> dict[str, str]:
    """Columns of numbers that a table has, and what they are called."""
    own = [name for name in table[0] if name.startswith(BY_STRUCTURE)]
    by_structure = {name: STRUCTURE_COLUMN.format(name.removeprefix(BY_STRUCTURE)) for name in own}
    paired = {name: title for name, title in PAIR_COLUMNS.items() if name in table[0]}
    return COLUMNS | by_structure | paired


def known_pairs(table: Sequence[Mapping]) -> dict[str, dict[str, np.ndarray]]:
    """Column → its known values in the sets ``synthetic`` and ``unseen``, where both have some."""
    sets = {which: [row for row in table if row["set"] == which] for which in ("synthetic", "unseen")}
    found = {
        column: {
            which: np.array([row[column] for row in rows if row[column] is not None]) for which, rows in sets.items()
        }
        for column in titles(table)
    }
    return {column: pair for column, pair in found.items() if all(map(len, pair.values()))}


def percentile_tables(table: Sequence[Mapping]) -> dict[str, list[dict[str, float]]]:
    """Column → rows percentile, synthetic, unseen."""
    return {
        column: [
            {"percentile": float(step), **{which: float(np.percentile(values, step)) for which, values in pair.items()}}
            for step in STEPS
        ]
        for column, pair in known_pairs(table).items()
    }
