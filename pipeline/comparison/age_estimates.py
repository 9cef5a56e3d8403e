"""Estimated ages of every cell, as `predict_age` wrote them, beside the ages of the cases."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np

from pipeline.data.case import Case
from pipeline.data.tables import read_table
from pipeline.run.cells import cell_name
from pipeline.run.errors import InputError
from pipeline.tasks.gestational_age.scores import COLUMNS

REMEDY = "run `dvc repro predict_age`"
AGE_CELL = ("cohort", "model", "labels", "arm")


@dataclass(frozen=True)
class AgeEstimates:
    """Estimates of one cohort, model, number of labels and arm; days throughout.

    cases: the C cases of the cohort that have an age. true: float (C,). scales: S of them, 1 the first.
    estimated: float (S, R, C), nan where there is none. low, high: float (R, C), limits of the images as they are;
    nan where there is none.
    """

    cases: Sequence[Case]
    true: np.ndarray
    scales: tuple[float, ...]
    estimated: np.ndarray
    low: np.ndarray
    high: np.ndarray

    @property
    def patients(self) -> list[str]:
        return [case.patient for case in self.cases]


AgeTable = dict[tuple[str, str, int, str], AgeEstimates]
"""By the parts of ``AGE_CELL``."""


def load_ages(folder: Path, grid, age, evaluated: Mapping[str, Sequence[Case]]) -> AgeTable:
    """Every cell's estimates, of the cohorts that have ages.

    Args:
        grid, age: sections. evaluated: cohort → its test cases.

    Raises:
        InputError: a cell's file is missing, or lacks a case.
    """
    with_ages = {name: [case for case in cases if case.ga_days is not None] for name, cases in evaluated.items()}
    with_ages = {name: cases for name, cases in with_ages.items() if cases}
    scales, found = (1.0, *age.zooms), {}
    for model, labels, arm in product(age.models, grid.labels, age.arms):
        read = [_rows(folder / f"{cell_name(model, labels, one, arm)}.csv") for one in grid.replicates]
        for cohort, cases in with_ages.items():
            values = np.array(
                [[[rows(cohort, case.id, scale) for case in cases] for rows in read] for scale in scales], dtype=float
            )
            estimated, low, high = np.moveaxis(values, 3, 0)
            true = np.array([case.ga_days for case in cases])
            found[cohort, model, labels, arm] = AgeEstimates(cases, true, scales, estimated, low[0], high[0])
    return {key: found[key] for cohort in with_ages for key in found if key[0] == cohort}


def _rows(path: Path):
    """(cohort, case, scale) → days and limits, nan where there are none."""
    table = {
        (row["cohort"], row["case"], float(row["scale"])): tuple(float(row[name] or "nan") for name in COLUMNS[3:])
        for row in read_table(path, COLUMNS, REMEDY)
    }

    def of(cohort: str, case: str, scale: float) -> tuple[float, ...]:
        try:
            return table[cohort, case, scale]
        except KeyError:
            raise InputError(f"{path}: no row of case '{case}' of '{cohort}' at scale {scale:g}; {REMEDY}") from None

    return of
