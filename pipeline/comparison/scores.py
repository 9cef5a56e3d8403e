"""Per-case scores of every cell, as `evaluate` wrote them, by cohort and arm."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from pathlib import Path

import numpy as np

from pipeline.data.tables import read_table
from pipeline.run.cells import cell_name
from pipeline.run.errors import InputError

METRICS = (
    "dice",
    "iou",
    "hd95_px",
    "assd_px",
    "hd95_mm",
    "assd_mm",
    "hc_error_mm",
    "hc_error_percent",
    "missing",
)
GROUPS = ("country", "device")


@dataclass(frozen=True)
class Scores:
    """Scores of one cohort, segmenter, number of labels and arm; a row is one structure of one case.

    ids, patients, structures: N each. groups: country and device of each row, empty where unknown.
    values: metric → float (R, N), replicates by rows, nan where the pixel size is unknown and in the circumference
        error of what is no head; ``missing`` is 1 where there was no prediction.
    """

    ids: tuple[str, ...]
    patients: tuple[str, ...]
    structures: tuple[str, ...]
    groups: dict[str, tuple[str, ...]]
    areas: np.ndarray
    values: dict[str, np.ndarray]

    @cached_property
    def _cases(self) -> tuple[np.ndarray, np.ndarray]:
        """Row of each case's first structure, and the case of each row, in order of appearance."""
        _, first, case_of = np.unique(self.ids, return_index=True, return_inverse=True)
        rank = np.argsort(np.argsort(first))
        return np.sort(first), rank[case_of]

    @property
    def case_ids(self) -> list[str]:
        return [self.ids[row] for row in self._cases[0]]

    @property
    def case_patients(self) -> list[str]:
        return [self.patients[row] for row in self._cases[0]]

    def case_groups(self, kind: str) -> list[str]:
        """Country or device of every case."""
        return [self.groups[kind][row] for row in self._cases[0]]

    def case_head_areas(self) -> np.ndarray:
        """float (C,): share of the image that each case's head covers, nan where that is not known."""
        areas = np.full(len(self._cases[0]), np.nan)
        heads = np.array(self.structures) == "head"
        areas[self._cases[1][heads]] = self.areas[heads]
        return areas

    def per_case(self, metric: str) -> np.ndarray:
        """float (R, C): the mean over those structures of each case that have the metric, nan where none has."""
        first, case_of = self._cases
        values = self.values[metric]
        known = np.isfinite(values)
        sums, counts = (
            np.stack([np.bincount(case_of, weights=row, minlength=len(first)) for row in weights])
            for weights in (np.where(known, values, 0), known)
        )
        return np.divide(sums, counts, out=np.full(sums.shape, np.nan), where=counts > 0)


ScoreTable = dict[tuple[str, str, int, str], Scores]
"""By (cohort, segmenter, labels, arm)."""


def load_scores(folder: Path, grid, cohorts: Sequence[str]) -> ScoreTable:
    """Every cell's scores.

    Raises:
        InputError: a cell's file is missing, holds no case of a cohort, or scores other cases than the first cell did.
    """
    scores, rows_of = {}, {}
    cells = list(product(grid.segmenters, grid.labels, grid.arms))
    for name, n, arm in cells:
        tables = [folder / f"{cell_name(name, n, r, arm)}.csv" for r in grid.replicates]
        read = [_by_cohort(path) for path in tables]
        for cohort in cohorts:
            for path, table in zip(tables, read, strict=True):
                if cohort not in table:
                    raise InputError(f"{path}: no case of cohort '{cohort}'; run `dvc repro evaluate`")
                key = [(row["id"], row["structure"]) for row in table[cohort]]
                if rows_of.setdefault(cohort, key) != key:
                    raise InputError(
                        f"{path}: the cases of cohort '{cohort}' are not those of the other cells, so differences "
                        "cannot be paired; run `dvc repro evaluate`"
                    )
            scores[cohort, name, n, arm] = _scores([table[cohort] for table in read])
    return {(cohort, *cell): scores[cohort, *cell] for cohort in cohorts for cell in cells}


def _by_cohort(path: Path) -> dict[str, list[dict[str, str]]]:
    tables: dict[str, list[dict[str, str]]] = {}
    for row in read_table(path):
        tables.setdefault(row["cohort"], []).append(row)
    return tables


def _scores(replicates: Sequence[Sequence[dict[str, str]]]) -> Scores:
    columns = zip(*((row["id"], row["patient"], row["structure"]) for row in replicates[0]), strict=True)
    groups = {kind: tuple(row.get(kind, "") for row in replicates[0]) for kind in GROUPS}
    values = {metric: np.array([[_number(row[metric]) for row in rows] for rows in replicates]) for metric in METRICS}
    areas = np.array([_number(row.get("area", "")) for row in replicates[0]])
    return Scores(*columns, groups, areas, values)


def _number(text: str) -> float:
    return {"": np.nan, "True": 1.0, "False": 0.0}[text] if text in ("", "True", "False") else float(text)
