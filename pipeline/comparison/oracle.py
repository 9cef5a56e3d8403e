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
    boxes, columns = [], ("dice_oracle_box", "dice_ellipse_in_box")
    for cohort, *cell in product(cohorts, oracle.segmenters, grid.labels, oracle.arms):
        segmenter, labels, arm = cell
        paths = [folder / f"{cell_name(segmenter, labels, replicate, arm)}.csv" for replicate in grid.replicates]
        rows = [row for path in paths for row in read_table(path) if row["cohort"] == cohort]
        means = (float(np.mean([float(row[name]) for row in rows])) for name in columns)
        boxes.append(OracleBox(cohort, *cell, *means, len(rows) // len(paths)))
    return boxes
