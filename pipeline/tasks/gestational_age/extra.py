"""Cases that an arm adds: their masks are exact by construction, and their ages are implied by these masks."""

from pathlib import Path

import numpy as np

from pipeline.data.ages import Formula
from pipeline.features.feature_table import load_features
from pipeline.run.errors import InputError
from pipeline.tasks.gestational_age.layout import MASKS, SIZES, scale_name
from pipeline.tasks.gestational_age.reading import read_inputs
from pipeline.tasks.gestational_age.table import Inputs


def read_extra(measured: Path, formula: Formula) -> tuple[Inputs, np.ndarray] | None:
    """The cases of an arm and their ages implied by HC in days, float (N,), extrapolated outside the formula's range as
    those of a cohort are; None of an arm without cases."""
    if not load_features(measured / scale_name() / MASKS).ids:
        return None
    inputs = read_inputs(measured, measured)
    return inputs, np.asarray(formula.days(inputs.hc_px * inputs.pixel_mm), dtype=float)


def joined(inputs: Inputs, days: np.ndarray, extra: tuple[Inputs, np.ndarray] | None) -> tuple[Inputs, np.ndarray]:
    """Labelled cases, and behind them an arm's own."""
    if extra is None:
        return inputs, days
    more, ages = extra
    return beside(inputs, more), np.concatenate([days, ages])


def beside(first: Inputs, second: Inputs) -> Inputs:
    """The cases of both, in this order.

    Raises:
        InputError: they have other features, or a case comes twice.
    """
    if first.names != second.names:
        raise InputError("the features of the labels and of the arm's own cases differ; extract both again")
    values = {
        name: np.concatenate([getattr(first, name), getattr(second, name)]) for name in ("radiomics", "tokens", *SIZES)
    }
    return Inputs(first.ids + second.ids, first.patients + second.patients, names=first.names, **values)
