"""Estimators without a network: the trivial ones that every result is held against, and regressors on features.

``constant`` is the median age in training. ``pixel_size`` reads nothing but the millimetres of a pixel, which is the
zoom that the sonographer chose; ``hc_px`` nothing but the circumference of the predicted mask in pixels. The others
read radiomics, or the mean of the deep tokens.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.networks.weights import read_config, read_tensors, save_tensors
from pipeline.run import seeds
from pipeline.run.errors import InputError
from pipeline.tasks.gestational_age.patients import grouped_folds
from pipeline.tasks.gestational_age.regressors import REGRESSORS
from pipeline.tasks.gestational_age.standardisation import Standardisation
from pipeline.tasks.gestational_age.table import Inputs

NAME = "age_estimator"
INNER_FOLDS = 5
CONSTANT = "constant"
ESTIMATORS: dict[str, tuple[str, str]] = {
    "pixel_size": ("pixel_mm", "kernel_ridge"),
    "hc_px": ("hc_px", "kernel_ridge"),
    "ridge": ("radiomics", "ridge"),
    "kernel_ridge": ("radiomics", "kernel_ridge"),
    "boosting": ("radiomics", "boosting"),
    "deep_ridge": ("tokens", "ridge"),
}
"""Name → what it reads of :class:`Inputs`, and the regressor; beside them ``constant``."""
_REMEDY = "fit again, or `dvc pull`"


@dataclass(frozen=True)
class Classical:
    """A fitted estimator.

    median: age in days of the training cases, the answer for a case of which nothing is known. names: radiomics columns
    that it reads. setting: what inner cross-validation chose. standardisation, arrays: None of ``constant``.
    """

    name: str
    median: float
    names: tuple[str, ...]
    setting: dict[str, float]
    standardisation: Standardisation | None
    arrays: dict[str, np.ndarray] | None

    def known(self, inputs: Inputs) -> np.ndarray:
        """Whether anything it reads is known of each case, bool (N,)."""
        if self.name == CONSTANT:
            return np.ones(len(inputs), dtype=bool)
        return np.isfinite(_columns(self.name, inputs, self.names)).any(axis=1)

    def estimate(self, inputs: Inputs) -> np.ndarray:
        """Ages in days, float (N,).

        Raises:
            InputError: features that the cases do not have.
        """
        days = np.full(len(inputs), self.median)
        if self.name == CONSTANT:
            return days
        values, known = _columns(self.name, inputs, self.names), self.known(inputs)
        if known.any():
            predict = REGRESSORS[ESTIMATORS[self.name][1]].predict
            days[known] = predict(self.arrays, self.standardisation.apply(values[known]))
        return days


def fit_classical(
    name: str, inputs: Inputs, days: np.ndarray, *, seed: int, names: Sequence[str] | None = None
) -> Classical:
    """An estimator fitted on cases; its settings, where there are several, by cross-validation among their patients.

    Args:
        name: ``constant`` or one of ``ESTIMATORS``.
        days: float (N,), known ages.
        names: radiomics columns to read; None for all. Estimators of something else read none.

    Raises:
        InputError: no such estimator, no case, an age that is not known, nothing of what it reads, or one patient alone
            to choose settings on.
    """
    if name != CONSTANT and name not in ESTIMATORS:
        raise InputError(f"no estimator '{name}'; choose one of {', '.join((CONSTANT, *ESTIMATORS))}")
    if not len(inputs) or not np.isfinite(days).all():
        raise InputError("an estimator is fitted on cases whose age is known, and on at least one")
    median = float(np.median(days))
    if name == CONSTANT:
        return Classical(name, median, (), {}, None, None)
    source, kind = ESTIMATORS[name]
    read = tuple(inputs.names if names is None else names) if source == "radiomics" else ()
    values = _columns(name, inputs, read)
    known = np.isfinite(values).any(axis=1)
    if not known.any():
        raise InputError(f"estimator '{name}': {source} is known of no training case; give it, or leave this one out")
    values, days, patients = values[known], days[known], [inputs.patients[i] for i in np.flatnonzero(known)]
    setting = _chosen(kind, values, days, patients, seed)
    standardisation = Standardisation.fit(values)
    arrays = REGRESSORS[kind].fit(standardisation.apply(values), days, seeds.derive(seed, kind), **setting)
    return Classical(name, median, read, setting, standardisation, arrays)


def _columns(name: str, inputs: Inputs, names: Sequence[str]) -> np.ndarray:
    source = ESTIMATORS[name][0]
    if source == "radiomics":
        return inputs.features(names)
    if source != "tokens":
        return getattr(inputs, source)[:, None]
    if inputs.tokens is None:
        raise InputError(f"estimator '{name}' reads deep features and these cases have none; extract them")
    return inputs.tokens.astype(np.float64).mean(axis=1)


def _chosen(kind: str, values: np.ndarray, days: np.ndarray, patients: Sequence[str], seed: int) -> dict[str, float]:
    """The setting with the smallest mean absolute error on held-out patients; statistics are of the others alone."""
    regressor = REGRESSORS[kind]
    settings = regressor.settings(values.shape[1])
    if len(settings) == 1:
        return settings[0]
    errors = np.zeros(len(settings))
    for held in grouped_folds(patients, INNER_FOLDS, seed):
        rest = np.setdiff1d(np.arange(len(days)), held)
        standardisation = Standardisation.fit(values[rest])
        x, new = standardisation.apply(values[rest]), standardisation.apply(values[held])
        for number, setting in enumerate(settings):
            found = regressor.predict(regressor.fit(x, days[rest], seed, **setting), new)
            errors[number] += np.abs(found - days[held]).sum()
    return settings[int(np.argmin(errors))]


def save_classical(folder: Path, estimator: Classical, trained_on: dict) -> None:
    """``age_estimator.safetensors`` and ``.json``: arrays of numbers, nothing pickled."""
    import torch

    arrays = dict(estimator.arrays or {})
    if estimator.standardisation is not None:
        arrays |= {f"standardisation.{key}": value for key, value in estimator.standardisation.arrays().items()}
    about = {
        "name": estimator.name,
        "median": estimator.median,
        "names": list(estimator.names),
        "setting": estimator.setting,
        "trained_on": trained_on,
        "licence": "Apache-2.0; see the licence of the training data",
    }
    save_tensors(folder, NAME, {key: torch.from_numpy(np.asarray(value)) for key, value in arrays.items()}, about)


def load_classical(folder: Path) -> tuple[Classical, dict]:
    """The estimator, and what its file says.

    Raises:
        InputError: no estimator there, or one of another version.
    """
    about = read_config(folder, NAME, "name", "median", "names", "setting", "trained_on")
    path = folder / f"{NAME}.safetensors"
    found = {key: value.numpy() for key, value in read_tensors(path, _REMEDY).items()}
    head = (about["name"], about["median"], tuple(about["names"]), about["setting"])
    if about["name"] == CONSTANT:
        return Classical(*head, None, None), about
    prefix = "standardisation."
    try:
        statistics = Standardisation(**{key: found.pop(prefix + key) for key in ("median", "mean", "sd", "gaps")})
    except KeyError as error:
        raise InputError(f"{path}: {error.args[0]} is missing, so it is of another version; {_REMEDY}") from None
    if about["name"] not in ESTIMATORS:
        raise InputError(f"{folder / NAME}.json: no estimator '{about['name']}' in this version; {_REMEDY}")
    return Classical(*head, statistics, found), about
