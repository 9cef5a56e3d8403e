"""One interface for all that estimates age: fitted as a section of ``age_models`` says, kept in a folder, asked."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from pipeline.config.age import AgeModel, AgeNetwork, Plain, Regression
from pipeline.data.ages import FORMULAS, Formula
from pipeline.learning.recipe import Recipe
from pipeline.networks.weights import read_config
from pipeline.run import files
from pipeline.run.resume import Scratch
from pipeline.tasks.gestational_age.classical import fit_classical, load_classical, save_classical
from pipeline.tasks.gestational_age.fusion import Architecture
from pipeline.tasks.gestational_age.layout import read_by
from pipeline.tasks.gestational_age.objective import NAME as NETWORK
from pipeline.tasks.gestational_age.objective import (
    Estimates,
    estimate,
    fit_age_network,
    load_age_network,
    save_age_network,
)
from pipeline.tasks.gestational_age.table import Inputs

MEASURED = "age_formula"


class Estimator(Protocol):
    """What estimates ages."""

    def estimate(self, inputs: Inputs) -> Estimates:
        """Days, float (N,); nan of a case of which it has nothing to go by."""

    def save(self, folder: Path, trained_on: dict) -> None: ...


@dataclass(frozen=True)
class Measured:
    """Circumference in millimetres, by the pixel size and the predicted mask, through a formula: nothing is fitted."""

    formula: Formula

    def estimate(self, inputs: Inputs) -> Estimates:
        return Estimates(np.asarray(self.formula.days(inputs.hc_px * inputs.pixel_mm), dtype=float), None)

    def save(self, folder: Path, trained_on: dict) -> None:
        files.write_json(folder / f"{MEASURED}.json", {"formula": self.formula.name, "citation": self.formula.citation})


@dataclass(frozen=True)
class OfNumbers:
    """A regression of scikit-learn, or the median."""

    fitted: object

    def estimate(self, inputs: Inputs) -> Estimates:
        return Estimates(self.fitted.estimate(inputs), None)

    def save(self, folder: Path, trained_on: dict) -> None:
        save_classical(folder, self.fitted, trained_on)


@dataclass(frozen=True)
class OfNetwork:
    """A network on radiomics and deep tokens."""

    network: object

    def estimate(self, inputs: Inputs) -> Estimates:
        return estimate(self.network, inputs)

    def save(self, folder: Path, trained_on: dict) -> None:
        save_age_network(folder, self.network, trained_on)


def fit_estimator(
    name: str,
    settings: AgeModel,
    inputs: Inputs,
    days: np.ndarray,
    formula: Formula,
    *,
    seed: int,
    device,
    scratch: Scratch | None = None,
    on_step: Callable[[int, float], None] = lambda step, loss: None,
) -> Estimator:
    """Fit on cases with known ages, in days, float (N,).

    Args:
        name: of the section, for messages.

    Raises:
        InputError: the cases have not what it reads, or too few patients.
    """
    if isinstance(settings, Plain) and settings.kind == "measured":
        return Measured(formula)
    if isinstance(settings, Plain):
        return OfNumbers(fit_classical(settings.kind, inputs, days, seed=seed))
    if isinstance(settings, Regression):
        return OfNumbers(
            fit_classical(settings.kind, inputs, days, seed=seed, names=read_by(settings.reads, inputs.names))
        )
    recipe, shape = Recipe.of(settings, f"age_models.{name}"), architecture(settings, inputs)
    known = {"seed": seed, "device": device, "scratch": scratch, "on_step": on_step}
    return OfNetwork(fit_age_network(shape, inputs, days, recipe, **known))


def architecture(settings: AgeNetwork, inputs: Inputs) -> Architecture:
    """The network of a section for these cases."""
    tokens, channels = (0, 0) if settings.variant == "radiomics" else inputs.tokens.shape[1:]
    return Architecture(
        settings.variant,
        read_by(settings.reads, inputs.names),
        tokens,
        channels,
        settings.width,
        settings.heads,
        settings.hidden,
        settings.dropout,
        settings.heteroscedastic,
    )


def load_estimator(folder: Path, device) -> Estimator:
    """What ``save`` wrote.

    Raises:
        InputError: no estimator there, or one of another version.
    """
    if (folder / f"{MEASURED}.json").exists():
        return Measured(FORMULAS[read_config(folder, MEASURED, "formula")["formula"]])
    if (folder / f"{NETWORK}.json").exists():
        return OfNetwork(load_age_network(folder, device)[0])
    return OfNumbers(load_classical(folder)[0])
