"""From per-case scores of every cell to one result per cohort, segmenter, number of labels and arm."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product
from pathlib import Path

import numpy as np

from pipeline.comparison.oracle import OracleBox
from pipeline.comparison.statistics import Estimate, Patients, Verdict, estimate, paired_difference, verdicts
from pipeline.comparison.synthetic import Budget, Quality, Shape
from pipeline.core import seeds
from pipeline.core.case import HEAD
from pipeline.core.errors import InputError
from pipeline.core.grid import Arm
from pipeline.core.prune import cell_name
from pipeline.core.tables import read_table

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
        heads = np.array(self.structures) == HEAD
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


@dataclass(frozen=True)
class StructureMeans:
    """Means over cases and replicates; ``n_mm`` cases have a known pixel size, ``missing`` predictions were empty."""

    structure: str
    means: dict[str, float]
    n_cases: int
    n_mm: int
    missing: int
    n_predictions: int


@dataclass(frozen=True)
class Result:
    """One cohort, segmenter, number of labels and arm. Scores as fractions; ``difference`` is from the baseline arm of
    the same segmenter and number of labels, paired.

    beyond_warped: synthetic arms only, their paired difference from warped real cases at the same ratio, if there are.
    dice_of_replicates: mean Dice of each replicate. replicate_means: of every metric, for the table.
    """

    cohort: str
    segmenter: str
    labels: int
    arm: str
    spec: Arm
    n_cases: int
    dice: Estimate
    difference: Estimate | None
    beyond_warped: Estimate | None
    verdict: Verdict | None
    structures: tuple[StructureMeans, ...]
    replicate_means: dict[str, list[float | None]]

    @property
    def dice_of_replicates(self) -> list[float]:
        return self.replicate_means["dice"]

    @property
    def missing(self) -> int:
        return sum(one.missing for one in self.structures)

    @property
    def synthetic(self) -> bool:
        """Whether the arm's extra cases are synthetic with their own masks: what the question is about."""
        return self.spec.extra == "synthetic" and not self.spec.shuffled


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


def patients_of(scores: ScoreTable, resamples: int, seed: int) -> dict[str, Patients]:
    """The patients of each cohort, resampled alike for every arm and segmenter: intervals differ by these alone."""
    of_cases = {cohort: own.case_patients for (cohort, *_), own in scores.items()}
    return {
        cohort: Patients(names, resamples, seeds.numpy_generator(seed, "compare", cohort))
        for cohort, names in of_cases.items()
    }


def summarise(
    scores: ScoreTable,
    arms: dict[str, Arm],
    baseline: str,
    held_out: Collection[str],
    patients: dict[str, Patients],
) -> list[Result]:
    """One result per cohort, segmenter, number of labels and arm, in the order of the table.

    Verdicts are corrected for the number of comparisons: among arms with synthetic data on the cohorts ``held_out``,
    which are the question, and among all the others.
    """
    results = []
    for (cohort, segmenter, labels, arm), own in scores.items():
        dice, key = own.per_case("dice"), (cohort, segmenter, labels)

        def from_arm(other, key=key, dice=dice):
            return paired_difference(dice, scores[*key, other].per_case("dice"), patients[key[0]])

        difference = None if arm == baseline else from_arm(baseline)
        twin = _warped_twin(arm, arms, [name for *others, name in scores if tuple(others) == key])
        results.append(
            Result(
                cohort=cohort,
                segmenter=segmenter,
                labels=labels,
                arm=arm,
                spec=arms[arm],
                n_cases=dice.shape[1],
                dice=estimate(dice, patients[cohort]),
                difference=difference,
                beyond_warped=from_arm(twin) if twin else None,
                verdict=None,
                structures=tuple(_structure_means(own)),
                replicate_means={metric: [_mean(row) for row in own.per_case(metric)] for metric in METRICS},
            )
        )
    return _judged(results, held_out)


def _judged(results: Sequence[Result], held_out: Collection[str]) -> list[Result]:
    compared = [place for place, one in enumerate(results) if one.difference]
    question = [place for place in compared if results[place].synthetic and results[place].cohort in held_out]
    judged = list(results)
    for family in (question, [place for place in compared if place not in set(question)]):
        found = verdicts([results[place].difference for place in family])
        for place, word in zip(family, found, strict=True):
            judged[place] = replace(results[place], verdict=word)
    return judged


def _warped_twin(arm: str, arms: dict[str, Arm], names: Sequence[str]) -> str | None:
    if arms[arm].extra != "synthetic" or arms[arm].shuffled:
        return None
    twins = (name for name in names if arms[name].extra == "warped" and arms[name].ratio == arms[arm].ratio)
    return next(twins, None)


def _structure_means(scores: Scores) -> list[StructureMeans]:
    names = np.array(scores.structures)
    found = []
    for structure in dict.fromkeys(scores.structures):
        values = {metric: matrix[:, names == structure] for metric, matrix in scores.values.items()}
        found.append(
            StructureMeans(
                structure=structure,
                means={metric: _mean(matrix) for metric, matrix in values.items() if metric != "missing"},
                n_cases=values["dice"].shape[1],
                n_mm=int(np.isfinite(values["hd95_mm"][0]).sum()),
                missing=int(values["missing"].sum()),
                n_predictions=values["missing"].size,
            )
        )
    return found


def _mean(values: np.ndarray) -> float | None:
    """Mean of the known values; None where none is known."""
    known = values[np.isfinite(values)]
    return float(known.mean()) if known.size else None


def metrics(
    results: Sequence[Result],
    quality: Sequence[Quality],
    shapes: Sequence[Shape],
    budgets: Sequence[Budget],
    boxes: Sequence[OracleBox],
) -> dict:
    """Small nested metrics: cohort → segmenter → n<labels> → arm → means.

    The synthetic sets' quality stands under "synthetic", what was trained under "training", scores with boxes drawn
    from the reference under "oracle_box".

    Of each descriptor of the masks' shapes one number: the distance of the sampled ones, averaged over structures.
    """
    tree: dict = {}
    for result in results:
        leaf = {name: _average(result.replicate_means[name]) for name in ("dice", "iou", "hd95_px", "hc_error_percent")}
        if result.difference is not None:
            leaf["dice_minus_baseline"] = result.difference.mean
        leaf = {name: _six_digits(value) for name, value in leaf.items()}
        counts = {"missing": result.missing, "n_cases": result.n_cases, "n_replicates": result.dice.n_replicates}
        branch = tree.setdefault(result.cohort, {}).setdefault(result.segmenter, {})
        branch.setdefault(f"n{result.labels}", {})[result.arm] = leaf | counts
    for one in quality:
        name = one.first.name if one.first.view is None else f"{one.first.name}_{one.first.view}"
        leaf = {name: one.mean("value"), f"{name}_best": one.mean("best"), f"{name}_worst": one.mean("worst")}
        if one.first.question == "privacy":
            # Their ends are the same by definition.
            leaf = {name: one.mean("value")}
        branch = tree.setdefault("synthetic", {}).setdefault(f"n{one.labels}", {})
        branch.update({key: _six_digits(value) for key, value in leaf.items()})
    distances: dict[tuple[int, str], list[float]] = {}
    for one in shapes:
        known = distances.setdefault((one.labels, one.descriptor), [])
        known += [] if one.distance is None else [one.distance]
    for (labels, descriptor), known in distances.items():
        branch = tree.setdefault("synthetic", {}).setdefault(f"n{labels}", {})
        branch[f"mask_{descriptor}"] = _six_digits(float(np.mean(known)) if known else None)
    for one in budgets:
        leaf = {"trainable_parameters": one.trainable, "parameters": one.parameters, "labels_seen": one.seen[1]}
        branch = tree.setdefault("training", {}).setdefault(one.segmenter, {})
        branch.setdefault(f"n{one.labels}", {})[one.arm] = leaf
    for one in boxes:
        leaf = {"dice_oracle_box": _six_digits(one.sam), "dice_ellipse_in_box": _six_digits(one.ellipse)}
        branch = tree.setdefault("oracle_box", {}).setdefault(one.cohort, {}).setdefault(one.segmenter, {})
        branch.setdefault(f"n{one.labels}", {})[one.arm] = leaf
    return tree


def _average(values: Sequence[float | None]) -> float | None:
    return None if None in values else float(np.mean(values))


def _six_digits(value: float | None) -> float | None:
    # Enough for any reader, and differences in the last bits stay out of `dvc metrics diff`.
    return None if value is None else float(f"{value:.6g}")


def long_table(results: Sequence[Result], replicates: Sequence[int], baseline: str) -> list[dict]:
    """One row per cohort, segmenter, number of labels, arm and replicate, for plots."""
    base = {(one.cohort, one.segmenter, one.labels): one.dice_of_replicates for one in results if one.arm == baseline}
    return [
        {
            "cohort": one.cohort,
            "segmenter": one.segmenter,
            "labels": one.labels,
            "arm": one.arm,
            "extra": one.spec.extra,
            "ratio": float(one.spec.ratio),
            "replicate": replicate,
            **{name: one.replicate_means[name][i] for name in METRICS if name not in ("dice", "missing")},
            "dice": one.dice_of_replicates[i],
            "dice_minus_baseline": one.dice_of_replicates[i] - base[one.cohort, one.segmenter, one.labels][i],
            "n_cases": one.n_cases,
        }
        for one in results
        for i, replicate in enumerate(replicates)
    ]
