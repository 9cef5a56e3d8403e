"""Ages in a cohort: columns in the wrong unit are noticed as a whole, and a circumference implies a missing age."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from pipeline.data.age_limits import DAYS
from pipeline.data.ages import OUTSIDE, Formula, implied_age
from pipeline.data.case import Case
from pipeline.run.errors import InputError

_NAMED = 5
# No fetus has a head to be measured at 45 days or with a circumference of 43 mm, and none is older than 45 weeks or
# larger than 43 cm: a column that stays below was given in the other unit.
_UNITS = {"ga_days": (45, "days, not weeks"), "hc_mm": (43, "mm, not cm or m")}


def check_units(tables: Sequence[str], fields: Mapping[str, dict]) -> None:
    """Look at the columns of ages and circumferences as a whole.

    Args:
        tables: names of the files, for messages. fields: fields of ``Case`` by case id.

    Raises:
        InputError: all values are so small that they are of another unit, or some age is none of a fetus: all named.
    """
    for column, (bound, unit) in _UNITS.items():
        values = [one[column] for one in fields.values() if column in one]
        if values and max(values) < bound:
            raise InputError(
                f"file '{tables[0]}': no {column} is above {max(values):g}; give {unit}, in the column '{column}'"
            )
    low, high = DAYS
    odd = [case for case, one in fields.items() if not low <= one.get("ga_days", low) <= high]
    if odd:
        more = f" ({len(odd) - 1} more cases: {_shown(odd[1:])})" if odd[1:] else ""
        raise InputError(
            f"file '{tables[0]}': ga_days of case '{odd[0]}' is {fields[odd[0]]['ga_days']:g}, outside of {low:g} to "
            f"{high:g} days{more}; give days since the last menstrual period"
        )


def with_implied_ages(cases: Iterable[Case], formula: Formula, remarks: list[str]) -> Iterator[Case]:
    """The cases; one with a circumference and no age of its own gets the age implied by HC.

    Args:
        remarks: told how many at the end, which are of circumferences outside of the formula's range, and which cases
            have no age: without a circumference, or with one that implies none that a fetus has.

    Raises:
        InputError: after the last case, where none has an age of its own or a circumference.
    """
    number, implied, outside, without = 0, 0, [], []
    for case in cases:
        number += 1
        aged = case if case.ga_days is not None else with_implied_age(case, formula)
        implied += aged is not case
        if aged.ga_days is None:
            without.append(case.id)
        elif aged.ga_source.endswith(OUTSIDE):
            outside.append(case.id)
        yield aged
    if len(without) == number:
        raise InputError(f"age_formula: no case has a circumference (hc_mm) that {formula.name} takes; leave it out")
    if implied:
        remarks.append(f"{implied} of {number} ages are implied by HC through {formula.name}, not known")
    if outside:
        low, high = formula.range_mm
        remarks.append(
            f"{len(outside)} of {number} ages are extrapolated (ga_source {formula.name}{OUTSIDE}), HC is outside of "
            f"{low:.1f} to {high:.1f} mm: {_shown(outside)}"
        )
    if without:
        remarks.append(f"{len(without)} of {number} cases have no age, known or implied by HC: {_shown(without)}")


def with_implied_age(case: Case, formula: Formula) -> Case:
    """The case with the age that its circumference implies; without one where there is none, or none of a fetus."""
    if case.hc_mm is None:
        return case
    days, source = implied_age(case.hc_mm, formula)
    low, high = DAYS
    return replace(case, ga_days=days, ga_source=source) if low <= days <= high else case


def _shown(cases: Sequence[str]) -> str:
    return ", ".join(cases[:_NAMED]) + (" ..." if len(cases) > _NAMED else "")
