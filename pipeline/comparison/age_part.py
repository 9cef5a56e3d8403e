"""All that is compared of gestational age, and what the report draws of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.comparison.age_estimates import load_ages
from pipeline.comparison.report.ages import Fit, age_plots, groups, load_fits
from pipeline.comparison.statistics.age_comparison import AgeComparison, compare_ages
from pipeline.data.ages import FORMULAS
from pipeline.data.case import Case
from pipeline.run.errors import InputError


@dataclass(frozen=True)
class AgePart:
    """fits: (model, labels, arm) → records. plots: cohort → SVG. groups: see ``report.ages.groups``.
    spread: cohort → standard deviation of the true ages in days."""

    comparison: AgeComparison
    fits: Mapping[tuple[str, int, str], Fit]
    plots: Mapping[str, str]
    groups: tuple[list[Fit], list[str]]
    spread: Mapping[str, float]


def age_folders(folder: Path) -> tuple[Path, Path]:
    """Where what `predict_age` and `fit_age` wrote of cells lies."""
    return folder / "estimates", folder / "fits"


def age_part(estimates: Path, fits: Path, params, cases: Mapping[str, Sequence[Case]]) -> AgePart | None:
    """None where no model of age is asked.

    Raises:
        InputError: no test case of any cohort has an age; or as the loaders.
    """
    grid, age, compare = params.grid, params.age, params.compare
    if not age.models:
        return None
    table = load_ages(estimates, grid, age, cases)
    found = compare_ages(table, compare.baseline, FORMULAS[age.formula], compare.bootstrap, params.seed)
    if found is None:
        raise InputError("age.models names some, and no test case has an age; give ga_days, or age_formula of a cohort")
    of_fits = load_fits(fits, grid, age)
    spread = {cohort: float(np.std(one.true)) for (cohort, *_), one in table.items()}
    plots = age_plots(found, of_fits, compare.baseline)
    return AgePart(found, of_fits, plots, groups(of_fits, max(grid.labels), compare.baseline), spread)
