"""Fitting one cell: an estimator on the labels and an arm's own cases, its intervals calibrated on the val split."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.data.ages import in_words
from pipeline.data.dataset import open_dataset
from pipeline.run import files
from pipeline.run.errors import InputError
from pipeline.tasks.gestational_age.conformal import Conformal, calibrate
from pipeline.tasks.gestational_age.estimators import Estimator
from pipeline.tasks.gestational_age.importance import permutation_importance
from pipeline.tasks.gestational_age.reading import read_inputs
from pipeline.tasks.gestational_age.table import Inputs
from pipeline.tasks.gestational_age.taken import Taken, save_taken

INTERVALS, AGES = "intervals", "ages"
REPEATS = 20
"""Exchanges of each feature class for its importance."""


@dataclass(frozen=True)
class Aged:
    """Cases whose age is known. days: float (N,). sources: of ``data.ages.SOURCES``, one a case."""

    inputs: Inputs
    days: np.ndarray
    sources: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.days)


def known_ages(dataset: Path, splits: Sequence[str]) -> dict[str, tuple[float, str]]:
    """Id → age in days and its source, of the cases that have one."""
    cases = open_dataset(dataset, splits).cases.decoded()
    return {case.id: (case.ga_days, case.ga_source) for case in cases if case.ga_days is not None}


def aged(measured: Path, features: Path, ids: Sequence[str], ages: Mapping[str, tuple[float, str]]) -> Aged:
    """Of these cases those whose age is known, with what estimators are given of them.

    Raises:
        InputError: none has a known age.
    """
    known = [name for name in ids if name in ages]
    if not known:
        raise InputError(
            f"no age is known of the {len(ids)} cases of {measured.name}; give ga_days, or circumferences and the key "
            "age_formula of the cohort"
        )
    days, sources = zip(*(ages[name] for name in known), strict=True)
    return Aged(read_inputs(measured, features, ids=known), np.array(days), sources)


def calibrated(estimator: Estimator, val: Aged, fitted_on: Sequence[str], coverage: float) -> Conformal:
    """Intervals from the val cases of which there is an estimate."""
    found = estimator.estimate(val.inputs)
    there = np.isfinite(found.days)
    sd = None if found.sd is None else found.sd[there]
    patients = [name for name, is_there in zip(val.inputs.patients, there, strict=True) if is_there]
    return calibrate(val.days[there], found.days[there], sd, patients, fitted_on=fitted_on, level=coverage)


def save_intervals(folder: Path, intervals: Conformal) -> None:
    # JSON has no infinity.
    about = vars(intervals) | {"factor": intervals.factor if intervals.enough else None}
    files.write_json(folder / f"{INTERVALS}.json", about)


def load_intervals(folder: Path) -> Conformal:
    """What :func:`save_intervals` wrote.

    Raises:
        InputError: no such file.
    """
    about = files.read_json(folder / f"{INTERVALS}.json", "run the stage fit_age, or `dvc pull`")
    return Conformal(**about | {"factor": np.inf if about["factor"] is None else about["factor"]})


def save_about(folder: Path, how: Taken, ages: Mapping[str, int], days: np.ndarray) -> None:
    """What a model was fitted to: how features were taken, how many ages of each source in words, and their range."""
    save_taken(folder, how)
    files.write_json(folder / f"{AGES}.json", {"ages": ages, "range_days": [float(days.min()), float(days.max())]})


def described(estimator: Estimator, labels: Aged, val: Aged, extra: int, intervals: Conformal, seed: int) -> dict:
    """What is told of a fit: how many cases of what age it has seen, and on val its error and what that is owed to.

    A feature class whose exchange changes no estimate is one that the model does not read, and is left out.
    """
    found = estimator.estimate(val.inputs).days
    errors = np.abs(found - val.days)
    whole = np.flatnonzero(np.isfinite(found))
    importance = []
    if len(whole) > 1:
        asked = val.inputs.rows(whole)
        drawn = permutation_importance(
            lambda inputs: estimator.estimate(inputs).days, asked, val.days[whole], repeats=REPEATS, seed=seed
        )
        importance = [{"group": one.group, "increase_days": one.increase} for one in drawn if one.repeats.any()]
    sources = {source: labels.sources.count(source) for source in dict.fromkeys(labels.sources)}
    return {
        "labels": len(labels),
        "ages": {in_words(source): count for source, count in sources.items()},
        "extra": extra,
        "val_labels": len(val),
        "val_mae_days": float(errors[whole].mean()) if len(whole) else None,
        "val_missing": len(val) - len(whole),
        "interval_factor": intervals.factor if intervals.enough else None,
        "importance": importance,
    }
