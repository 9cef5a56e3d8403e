"""Scores of every cell: the long tables that `evaluate` wrote, as matrices, joined with the cases of the cohorts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from pathlib import Path

import numpy as np

from pipeline.data.case import Case
from pipeline.data.tables import read_table
from pipeline.run.cells import cell_name
from pipeline.run.errors import InputError
from pipeline.tasks.metrics import METRICS, PAIR, Metric

SIZE = "reference_share"
REMEDY = "run `dvc repro evaluate`"


@dataclass(frozen=True)
class Scores:
    """Scores of one cohort, segmenter, number of labels and arm.

    cases: the C cases of the cohort that have the primary metric, in the order of the dataset.
    left_out: the number of cases without the primary.
    metric: the primary.
    structures: the regions that are no unions, with that of the pair. head: the structure with the role head, if any.
    values: (region, metric) → float (R, C), replicates by cases; nan where a case does not have the metric.
    """

    cases: Sequence[Case]
    left_out: int
    metric: Metric
    structures: tuple[str, ...]
    head: str | None
    values: dict[tuple[str, str], np.ndarray]

    @property
    def patients(self) -> list[str]:
        """The patient of each case."""
        return [case.patient for case in self.cases]

    def per_case(self, metric: str) -> np.ndarray:
        """float (R, C): the mean over those single structures that have the metric, nan where none has it."""
        matrices = [self.values[region, metric] for region in self.structures if (region, metric) in self.values]
        if not matrices:
            return np.full(next(iter(self.values.values())).shape, np.nan)
        counts = np.isfinite(matrices).sum(axis=0)
        return np.divide(np.nansum(matrices, axis=0), counts, out=np.full(counts.shape, np.nan), where=counts > 0)

    @cached_property
    def primary(self) -> np.ndarray:
        """float (R, C): the primary metric of every case; always finite."""
        return self.per_case(self.metric.name)

    def head_sizes(self) -> np.ndarray:
        """float (C,): share of the image that the head covers in the reference (without a head the largest structure);
        nan where that is not known."""
        shares = {region: self.values[region, SIZE][0] for region in self.structures if (region, SIZE) in self.values}
        if not shares:
            return np.full(len(self.cases), np.nan)
        return shares.get(self.head, max(shares.values(), key=np.nanmean))


CELL = ("cohort", "segmenter", "labels", "arm")
ScoreTable = dict[tuple[str, str, int, str], Scores]
"""By the parts of ``CELL``."""


def direction(metric: Metric) -> int:
    """1 where higher values are better, -1 where lower ones are."""
    return 1 if metric.better == "higher" else -1


def load_scores(folder: Path, grid, evaluated: Mapping[str, Sequence[Case]], task) -> ScoreTable:
    """Every cell's scores.

    Args:
        evaluated: cohort → the cases that were scored.
        task: the section ``task``: structures with their roles, unions, the primary metric.

    Raises:
        InputError: a cell's file is missing, holds no case of a cohort, a case that the cohort does not have, or other
            rows than the first cell's; no case has the primary.
    """
    head = next((name for name, role in task.structures.items() if role == "head"), None)
    about, scores, keys, members = (METRICS[task.primary], (*task.structures, PAIR), head), {}, {}, {}
    for cell in product(grid.segmenters, grid.labels, grid.arms):
        *where, arm = cell
        paths = [folder / f"{cell_name(*where, replicate, arm)}.csv" for replicate in grid.replicates]
        read = [_by_cohort(path) for path in paths]
        for cohort, cases in evaluated.items():
            tables = [one.get(cohort, {}) for one in read]
            for path, table in zip(paths, tables, strict=True):
                if not table:
                    raise InputError(f"{path}: no case of cohort '{cohort}'; {REMEDY}")
                if cohort not in keys:
                    keys[cohort], members[cohort] = list(table), _cases(path, cohort, table, cases, task)
                if list(table) != keys[cohort]:
                    raise InputError(
                        f"{path}: the cases of cohort '{cohort}' are not scored like those of the other cells, so "
                        f"differences cannot be paired; {REMEDY}"
                    )
            scores[cohort, *cell] = Scores(*members[cohort], *about, _matrices(tables, members[cohort][0]))
    return {key: scores[key] for cohort in evaluated for key in scores if key[0] == cohort}


_Table = dict[tuple[str, str, str], float]
"""By (case, region, metric)."""


def _by_cohort(path: Path) -> dict[str, _Table]:
    tables: dict[str, _Table] = {}
    for row in read_table(path):
        tables.setdefault(row["cohort"], {})[row["case"], row["region"], row["metric"]] = float(row["value"])
    return tables


def _cases(path: Path, cohort: str, table: _Table, cases: Sequence[Case], task) -> tuple[list[Case], int]:
    """Of the scored cases those that have the primary, and the number of the others."""
    if unknown := {metric for *_, metric in table} - set(METRICS):
        raise InputError(f"{path}: metric '{min(unknown)}' is not known to this version; {REMEDY}")
    by_id, scored = {case.id: case for case in cases}, dict.fromkeys(id_ for id_, *_ in table)
    if strangers := [id_ for id_ in scored if id_ not in by_id]:
        raise InputError(f"{path}: case '{strangers[0]}' is not in the dataset of '{cohort}'; {REMEDY}")
    primary = {id_ for id_, region, metric in table if metric == task.primary and region in (*task.structures, PAIR)}
    kept = [by_id[id_] for id_ in scored if id_ in primary]
    if not kept:
        raise InputError(
            f"{path}: no case of cohort '{cohort}' has the metric '{task.primary}' (key task.primary); give its cases "
            "what that takes (pixel_mm, hc_mm), or choose another primary"
        )
    return kept, len(scored) - len(kept)


def _matrices(tables: Sequence[_Table], cases: Sequence[Case]) -> dict[tuple[str, str], np.ndarray]:
    """(region, metric) → float (R, C), from the tables of the replicates."""
    column, matrices = {case.id: place for place, case in enumerate(cases)}, {}
    for id_, region, metric in tables[0]:
        if id_ in column:
            matrix = matrices.setdefault((region, metric), np.full((len(tables), len(cases)), np.nan))
            matrix[:, column[id_]] = [table[id_, region, metric] for table in tables]
    return matrices
