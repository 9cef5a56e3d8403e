"""What a box drawn from the reference mask adds, beside the ellipse in that box: a column apart from the results."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.core.prune import cell_name
from pipeline.core.tables import read_table


@dataclass(frozen=True)
class OracleBox:
    """Mean Dice over structures, cases and replicates, at model resolution, of SAM in the box and of the ellipse in it.

    n: structures of cases in one replicate.
    """

    cohort: str
    labels: int
    arm: str
    sam: float
    ellipse: float
    n: int


def load_oracle(folder: Path, grid, arms: Sequence[str], cohorts: Sequence[str]) -> list[OracleBox]:
    """One entry per cohort, number of labels and arm; none where ``arms`` is empty.

    Raises:
        InputError: the table of a cell is missing.
    """
    found = []
    for labels in grid.labels:
        for arm in arms:
            tables = [read_table(folder / f"{cell_name(labels, r, arm)}.csv") for r in grid.replicates]
            for cohort in cohorts:
                rows = [row for table in tables for row in table if row["cohort"] == cohort]
                sam, ellipse = (
                    float(np.mean([float(row[name]) for row in rows]))
                    for name in ("dice_oracle_box", "dice_ellipse_in_box")
                )
                found.append(OracleBox(cohort, labels, arm, sam, ellipse, len(rows) // len(tables)))
    return sorted(found, key=lambda one: cohorts.index(one.cohort))
