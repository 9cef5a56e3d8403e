"""What is known of cases when their age is estimated: one row a case, in memory, without the ages."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace

import numpy as np

from pipeline.run.errors import InputError

LARGEST_HC_MM = 500.0
"""No fetal head is that large: a product of circumference and pixel size beyond it is in another unit."""


@dataclass(frozen=True)
class Inputs:
    """Of N cases.

    ids, patients: of each case. radiomics: float (N, F), nan where a feature is not defined; ``names`` of its columns,
    a feature class and a feature separated by dots. tokens: float16 (N, T, C), or None without deep features.
    pixel_mm: mm per pixel, hc_px: circumference of the *predicted* mask in pixels; float (N,), nan where unknown.

    Raises:
        InputError: rows that do not belong together, an id or a name that comes twice, or a size that cannot be.
    """

    ids: tuple[str, ...]
    patients: tuple[str, ...]
    radiomics: np.ndarray
    names: tuple[str, ...]
    tokens: np.ndarray | None
    pixel_mm: np.ndarray
    hc_px: np.ndarray

    def __post_init__(self):
        _check_unique("case", self.ids)
        _check_unique("feature", self.names)
        for name in ("patients", "radiomics", "tokens", "pixel_mm", "hc_px"):
            values = getattr(self, name)
            if values is not None and len(values) != len(self.ids):
                raise InputError(f"{name} of {len(values)} cases beside ids of {len(self.ids)}; give one row a case")
        if self.radiomics.shape[1:] != (len(self.names),):
            raise InputError(f"radiomics of shape {self.radiomics.shape} beside {len(self.names)} names of features")
        for name, unit in (("pixel_mm", "mm per pixel"), ("hc_px", "pixels")):
            values = getattr(self, name)
            self._refuse(~np.isnan(values) & ~((values > 0) & np.isfinite(values)), f"{name} is not a size in {unit}")
        with np.errstate(invalid="ignore"):
            large = self.pixel_mm * self.hc_px > LARGEST_HC_MM
        self._refuse(large, f"the head is more than {LARGEST_HC_MM:g} mm around, so pixel_mm is not in mm")

    def _refuse(self, wrong: np.ndarray, why: str) -> None:
        if wrong.any():
            raise InputError(f"case '{self.ids[int(np.argmax(wrong))]}': {why}; correct it, or leave it unknown (nan)")

    def __len__(self) -> int:
        return len(self.ids)

    def rows(self, chosen: Sequence[int] | np.ndarray) -> "Inputs":
        """The cases with these numbers, in that order; a number may come once."""
        chosen = np.asarray(chosen, dtype=int)
        return replace(self, **{field.name: _rows(getattr(self, field.name), chosen) for field in fields(self)
                                if field.name != "names"})  # fmt: skip

    def features(self, names: Sequence[str]) -> np.ndarray:
        """Columns of the radiomics by name, float (N, len(names)).

        Raises:
            InputError: a feature that these cases do not have.
        """
        place = {name: number for number, name in enumerate(self.names)}
        if missing := [name for name in names if name not in place]:
            raise InputError(f"feature '{missing[0]}' is not among those of these cases; extract them again")
        return self.radiomics[:, [place[name] for name in names]]


def ages_of(inputs: Inputs, days: Mapping[str, float]) -> np.ndarray:
    """Ages in days in the order of the cases, float (N,), from a table by case.

    Raises:
        InputError: a case without an age, one with an age that is none, or ages of other cases beside them.
    """
    if missing := [name for name in inputs.ids if name not in days]:
        raise InputError(f"no age of case '{missing[0]}'; give the ages of the same cases as the features")
    if others := sorted(days.keys() - set(inputs.ids)):
        raise InputError(f"an age of case '{others[0]}', which has no features; give the ages of the same cases")
    if wrong := [name for name in inputs.ids if not 0 < days[name] < np.inf]:
        raise InputError(f"case '{wrong[0]}': an age of {days[wrong[0]]} days; leave out cases whose age is not known")
    return np.array([days[name] for name in inputs.ids], dtype=float)


def groups_of(names: Sequence[str]) -> dict[str, list[int]]:
    """Feature class → its columns: what stands before the last dot of a name, in order of appearance."""
    groups: dict[str, list[int]] = {}
    for column, name in enumerate(names):
        groups.setdefault(name.rpartition(".")[0] or name, []).append(column)
    return groups


def _rows(values, chosen: np.ndarray):
    if values is None:
        return None
    return tuple(values[i] for i in chosen) if isinstance(values, tuple) else values[chosen]


def _check_unique(what: str, names: Sequence[str]) -> None:
    if len(set(names)) < len(names):
        twice = next(name for number, name in enumerate(names) if name in names[:number])
        raise InputError(f"{what} '{twice}' comes twice; give each {what} a name of its own")
