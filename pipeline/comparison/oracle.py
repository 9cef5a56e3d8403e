"""What a box drawn from the reference mask adds, beside the ellipse in that box: a column apart from the results."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np

from pipeline.data.tables import read_table
from pipeline.run.cells import cell_name


@dataclass(frozen=True)
class OracleBox:
    """Mean Dice over structures, cases and replicates, at model resolution, of SAM in the box and of the ellipse in it.

    n: structures of cases in one replicate.
    """

    cohort: str
    segmenter: str
    labels: int
    arm: str
    sam: float
    ellipse: float
    n: int


def load_oracle(folder: Path, grid, oracle, cohorts: Sequence[str]) -> list[OracleBox]:
    """One entry per cohort, segmenter, number of labels and arm of the section ``oracle``; none without arms there.

    Raises:
        InputError: the table of a cell is missing.
    """
    found = []
    for segmenter, labels, arm in product(oracle.segmenters, grid.labels, oracle.arms):
        tables = [read_table(folder / f"{cell_name(segmenter, labels, r, arm)}.csv") for r in grid.replicates]
        for cohort in cohorts:
            rows = [row for table in tables for row in table if row["cohort"] == cohort]
            columns = ("dice_oracle_box", "dice_ellipse_in_box")
            means = [float(np.mean([float(row[name]) for row in rows])) for name in columns]
            found.append(OracleBox(cohort, segmenter, labels, arm, *means, len(rows) // len(tables)))
    return sorted(found, key=lambda one: cohorts.index(one.cohort))
