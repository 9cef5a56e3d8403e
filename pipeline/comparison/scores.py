"""Scores of every cell: the long tables that `evaluate` wrote, read into matrices and joined with the cohorts' cases."""

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
from pipeline.tasks.metrics import METRICS, Metric

GROUPS = ("country", "device")
SIZE = "reference_share"
REMEDY = "run `dvc repro evaluate`"


@dataclass(frozen=True)
class EvaluatedCases:
    """The C cases of a cohort that have the primary metric, in the order of the dataset.

    groups: country and device of each case, empty where unknown. left_out: the number of cases without the primary.
    """

    ids: tuple[str, ...]
    patients: tuple[str, ...]
    groups: dict[str, tuple[str, ...]]
    left_out: int


@dataclass(frozen=True)
class Scores:
    """Scores of one cohort, segmenter, number of labels and arm.

    metric: the primary. structures: the regions that are no unions. head: the structure with the role head, if any.
    values: (region, metric) → float (R, C), replicates by cases; nan where a case does not have the metric.
    """

    cases: EvaluatedCases
    metric: Metric
    structures: tuple[str, ...]
    head: str | None
    values: dict[tuple[str, str], np.ndarray]

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
            return np.full(len(self.cases.ids), np.nan)
        return shares.get(self.head, max(shares.values(), key=np.nanmean))


ScoreTable = dict[tuple[str, str, int, str], Scores]
"""By (cohort, segmenter, labels, arm)."""


def direction(metric: Metric) -> int:
    """1 where higher values are better, -1 where lower ones are."""
    return 1 if metric.better == "higher" else -1


def load_scores(folder: Path, grid, evaluated: Mapping[str, Sequence[Case]], task) -> ScoreTable:
    """Every cell's scores.

    Args:
        evaluated: cohort → the cases that were scored.
        task: the section ``task``: structures with their roles, unions, the primary metric.

    Raises:
        InputError: the primary is no metric with a better end; a cell's file is missing, holds no case of a cohort, a
            case that the cohort does not have, or other rows than the first cell's; no case has the primary.
    """
    if task.primary not in METRICS or METRICS[task.primary].better is None:
        ranked = ", ".join(name for name, metric in METRICS.items() if metric.better)
        raise InputError(f"key 'task.primary' is '{task.primary}'; it has to be one of {ranked}")
    scores, layouts = {}, {}
    for name, n, arm in product(grid.segmenters, grid.labels, grid.arms):
        columns: dict[str, list[list[float]]] = {cohort: [] for cohort in evaluated}
        for replicate in grid.replicates:
            path = folder / f"{cell_name(name, n, replicate, arm)}.csv"
            tables = _by_cohort(path)
            for cohort, cases in evaluated.items():
                keys, values = tables.get(cohort, ([], []))
                if cohort not in layouts:
                    layouts[cohort] = _Layout(path, cohort, keys, values, cases, task)
                layouts[cohort].check(path, keys)
                columns[cohort].append(values)
        for cohort in evaluated:
            scores[cohort, name, n, arm] = layouts[cohort].scores(np.array(columns[cohort]))
    return {key: scores[key] for cohort in evaluated for key in scores if key[0] == cohort}


def _by_cohort(path: Path) -> dict[str, tuple[list[tuple[str, str, str]], list[float]]]:
    """Cohort → the (case, region, metric) of its rows, and their values."""
    tables: dict[str, tuple[list, list]] = {}
    for row in read_table(path):
        keys, values = tables.setdefault(row["cohort"], ([], []))
        keys.append((row["case"], row["region"], row["metric"]))
        values.append(float(row["value"]))
    return tables


class _Layout:
    """Where the rows of one cohort belong in matrices; the same for every cell."""

    def __init__(self, path: Path, cohort: str, keys: Sequence[tuple], values: Sequence[float], cases, task):
        self.cohort, self.keys, self.metric = cohort, keys, METRICS[task.primary]
        self.structures = tuple(task.structures)
        self.head = next((name for name, role in task.structures.items() if role == "head"), None)
        self.check(path, keys)
        if unknown := {metric for *_, metric in keys} - set(METRICS):
            raise InputError(f"{path}: metric '{min(unknown)}' is not known to this version; {REMEDY}")
        scored = {id_ for id_, region, metric in keys if metric == task.primary and region in self.structures}
        by_id = {case.id: case for case in cases}
        everyone = list(dict.fromkeys(id_ for id_, *_ in keys))
        if strangers := [id_ for id_ in everyone if id_ not in by_id]:
            raise InputError(f"{path}: case '{strangers[0]}' is not in the dataset of '{cohort}'; {REMEDY}")
        kept = [by_id[id_] for id_ in everyone if id_ in scored]
        if not kept:
            raise InputError(f"{path}: no case of cohort '{cohort}' has the metric '{task.primary}' (key task.primary)")
        groups = {kind: tuple(getattr(case, kind) or "" for case in kept) for kind in GROUPS}
        ids = tuple(case.id for case in kept)
        self.cases = EvaluatedCases(ids, tuple(case.patient for case in kept), groups, len(everyone) - len(ids))
        column = {id_: place for place, id_ in enumerate(ids)}
        places: dict[tuple[str, str], list[tuple[int, int]]] = {}
        for row, (id_, region, metric) in enumerate(keys):
            if id_ in column:
                places.setdefault((region, metric), []).append((row, column[id_]))
        self.places = {key: np.array(pairs).T for key, pairs in places.items()}

    def check(self, path: Path, keys: Sequence[tuple]) -> None:
        if not keys:
            raise InputError(f"{path}: no case of cohort '{self.cohort}'; {REMEDY}")
        if keys != self.keys:
            raise InputError(
                f"{path}: the cases of cohort '{self.cohort}' are not scored like those of the other cells, so "
                f"differences cannot be paired; {REMEDY}"
            )

    def scores(self, values: np.ndarray) -> Scores:
        """From the values of all rows, float (R, rows)."""
        matrices = {}
        for key, (rows, columns) in self.places.items():
            matrices[key] = np.full((len(values), len(self.cases.ids)), np.nan)
            matrices[key][:, columns] = values[:, rows]
        return Scores(self.cases, self.metric, self.structures, self.head, matrices)
