"""Gestational age of a case: where it is from, and which age a head circumference (HC) implies.

An age that was computed from a circumference is worded "age implied by HC", never gestational age: it knows no more of
the pregnancy than the circumference does. Ages are days since the first day of the last menstrual period.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from pipeline.data.age_limits import DAYS
from pipeline.run.errors import InputError

OUTSIDE = "_outside_range"
"""Ends the source of an age that is implied by a circumference outside of its formula's range."""
_SEARCHED_MM = (1.0, 1000.0)
_AGREE_DAYS = 0.01


@dataclass(frozen=True)
class Formula:
    """The age that a head circumference implies.

    days: mm → days, float64 of the shape of what it is given; nan where that is not above 0. It rises everywhere.
    fitted_days: ages of the youngest and the oldest fetus of the study that it was fitted to.
    """

    name: str
    citation: str
    days: Callable[[ArrayLike], np.ndarray]
    fitted_days: tuple[float, float]

    @cached_property
    def range_mm(self) -> tuple[float, float]:
        """The circumferences that imply an age within ``fitted_days``; outside the formula is extrapolated."""
        low, high = self.hc_mm(self.fitted_days)
        return float(low), float(high)

    def in_range(self, hc_mm: ArrayLike) -> np.ndarray:
        """Whether circumferences (mm) are within the range, bool of their shape."""
        low, high = self.range_mm
        return (np.asarray(hc_mm) >= low) & (np.asarray(hc_mm) <= high)

    def hc_mm(self, days: ArrayLike) -> np.ndarray:
        """The circumference that implies an age: the inverse of ``days``, by bisection to below 1e-9 mm.

        Args:
            days: of any shape.

        Returns:
            float64 of that shape; nan where no circumference of 1 to 1,000 mm implies the age.
        """
        wanted = np.asarray(days, dtype=float)
        low, high = (np.full(wanted.shape, end) for end in _SEARCHED_MM)
        found = (wanted >= self.days(low)) & (wanted <= self.days(high))
        for _ in range(44):
            middle = (low + high) / 2
            above = self.days(middle) > wanted
            low, high = np.where(above, low, middle), np.where(above, middle, high)
        return np.where(found, (low + high) / 2, np.nan)[()]


def intergrowth21_days(hc_mm: ArrayLike) -> np.ndarray:
    """INTERGROWTH-21st, head circumference alone: exp(.05970 (ln HC)² + 6.409e-9 HC³ + 3.3258), HC in mm.

    Papageorghiou et al., Ultrasound Obstet Gynecol 2016; 48: 719–726.
    """
    hc = _above_0(hc_mm)
    return np.exp(0.05970 * np.log(hc) ** 2 + 6.409e-9 * hc**3 + 3.3258)


def hadlock84_days(hc_mm: ArrayLike) -> np.ndarray:
    """Hadlock's equation of head circumference alone: 8.96 + .540 HC + .0003 HC³ weeks, HC in **cm**.

    Hadlock et al., Radiology 1984; 152: 497–501.
    """
    hc_cm = _above_0(hc_mm) / 10
    return 7 * (8.96 + 0.540 * hc_cm + 0.0003 * hc_cm**3)


def _above_0(hc_mm: ArrayLike) -> np.ndarray:
    hc = np.asarray(hc_mm, dtype=float)
    return np.where(hc > 0, hc, np.nan)[()]


FORMULAS: Mapping[str, Formula] = {
    one.name: one
    for one in (
        Formula(
            "intergrowth21",
            "Papageorghiou et al., Ultrasound-based gestational-age estimation in late pregnancy, "
            "Ultrasound Obstet Gynecol 2016; 48: 719–726",
            intergrowth21_days,
            # Measured every five weeks from 14 to 42 weeks: Papageorghiou et al., Lancet 2014; 384: 869–879.
            (98.0, 294.0),
        ),
        Formula(
            "hadlock84",
            "Hadlock et al., Estimating fetal age: computer-assisted analysis of multiple fetal growth parameters, "
            "Radiology 1984; 152: 497–501",
            hadlock84_days,
            # 361 fetuses between 14 and 42 menstrual weeks.
            (98.0, 294.0),
        ),
    )
}
OWN_SOURCES = ("given", "simulated")
"""Of ages that are known and not computed from HC: by whoever gives the cohort, or by the simulator."""
SOURCES = (*OWN_SOURCES, *FORMULAS, *(name + OUTSIDE for name in FORMULAS))


def formula_of(source: str | None) -> Formula | None:
    """The formula behind an age, within its range or not; None of an age that is known, and where there is none."""
    return FORMULAS.get((source or "").removesuffix(OUTSIDE))


def in_words(source: str) -> str:
    """What an age of a source is, for pages."""
    formula = formula_of(source)
    if formula is None:
        return {"given": "given with the cohort", "simulated": "true, of a simulated pregnancy"}[source]
    extrapolated = ", extrapolated outside of its range" if source.endswith(OUTSIDE) else ""
    return f"implied by HC ({formula.name}{extrapolated})"


def implied_age(hc_mm: float, formula: Formula) -> tuple[float, str]:
    """The age in days that a circumference implies, and its source: the formula's name, marked outside its range."""
    return float(formula.days(hc_mm)), formula.name + ("" if formula.in_range(hc_mm) else OUTSIDE)


def check_age(case_id: str, ga_days: float | None, ga_source: str | None, hc_mm: float | None) -> None:
    """Hold the age of a case against the contract.

    Raises:
        InputError: naming the case: an age without a source or the reverse, an unknown source, an age that no fetus
            has, or one that is said to be implied by HC and is not.
    """
    if (ga_days is None) != (ga_source is None):
        fault = "ga_days without ga_source" if ga_source is None else f"ga_source '{ga_source}' without ga_days"
        raise InputError(f"case '{case_id}': {fault}; give both or neither")
    if ga_days is None:
        return
    if ga_source not in SOURCES:
        raise InputError(f"case '{case_id}': ga_source '{ga_source}' is not one of {', '.join(SOURCES)}")
    low, high = DAYS
    if not low <= ga_days <= high:
        raise InputError(f"case '{case_id}': ga_days is {ga_days:g}, allowed are {low:g} to {high:g} days")
    formula = formula_of(ga_source)
    if formula is None:
        return
    days, source = implied_age(math.nan if hc_mm is None else hc_mm, formula)
    if source != ga_source or not abs(days - ga_days) <= _AGREE_DAYS:
        known = "there is no hc_mm" if hc_mm is None else f"hc_mm {hc_mm:g} implies {days:.2f} days, source {source}"
        raise InputError(
            f"case '{case_id}': ga_days {ga_days:g} is said to be implied by HC (ga_source '{ga_source}'), but {known}"
        )
