"""Patients that share an image are one patient; images that resemble each other form groups of limited size."""

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass

from pipeline.cohorts.doubles import LARGEST_GROUP, NEAR, Pair, Print, pairs_within


class Union:
    """Sets of items, each named after the item that was given first."""

    def __init__(self, items: Iterable[Hashable]) -> None:
        self._parent = {item: item for item in items}
        self._rank = {item: place for place, item in enumerate(self._parent)}
        self._size = dict.fromkeys(self._parent, 1)

    def name(self, item: Hashable) -> Hashable:
        while self._parent[item] != item:
            self._parent[item] = item = self._parent[self._parent[item]]
        return item

    def join(self, one: Hashable, other: Hashable, largest: float = float("inf")) -> bool:
        """Whether the two are in one set now; not, where it would have more than ``largest`` items."""
        kept, gone = sorted((self.name(one), self.name(other)), key=self._rank.__getitem__)
        if kept == gone:
            return True
        if self._size[kept] + self._size[gone] > largest:
            return False
        self._parent[gone] = kept
        self._size[kept] += self._size[gone]
        return True

    def sets(self) -> list[list]:
        """Those of two and more items, all in the order they were given."""
        found: dict = {}
        for item in self._parent:
            found.setdefault(self.name(item), []).append(item)
        return [items for items in found.values() if len(items) > 1]


@dataclass(frozen=True)
class Doubles:
    """What occurs more than once in a cohort.

    patients: patient → the patient it is merged into, itself for most. same: pairs of equal and re-encoded images.
    sides: patient after merging → the first of those that a split keeps on one side; they differ where near patients
    are to be merged and ``LARGEST_GROUP`` forbids it. pairs: that resemble each other besides, above ``threshold``.
    groups: images (places) that are doubles or near, chained from the most similar pair on, up to ``LARGEST_GROUP``.
    apart: near pairs that this limit left in two groups.
    """

    patients: dict[str, str]
    sides: dict[str, str]
    same: list[Pair]
    pairs: list[Pair]
    threshold: float
    groups: list[list[int]]
    apart: int

    @property
    def near(self) -> int:
        """Number of near pairs."""
        return len(self.pairs)


def find_doubles(prints: Sequence[Print], merge_near: bool, threshold: float = NEAR) -> Doubles:
    """Doubles within one cohort. With ``merge_near`` the patients of a group are one, else those of equal and
    re-encoded images alone.

    Args:
        threshold: the correlation above which images are near.
    """
    pairs = pairs_within(prints, threshold)
    same = [pair for pair in pairs if pair.kind != "near"]
    near = [pair for pair in pairs if pair.kind == "near"]
    groups, patients = Union(range(len(prints))), Union(one.patient for one in prints)
    for pair in same:
        groups.join(pair.first, pair.second)
        patients.join(prints[pair.first].patient, prints[pair.second].patient)
    for pair in sorted(near, key=lambda pair: (-pair.correlation, pair)):
        groups.join(pair.first, pair.second, LARGEST_GROUP)
    for group in groups.sets() if merge_near else ():
        for index in group[1:]:
            patients.join(prints[group[0]].patient, prints[index].patient)
    apart = sum(groups.name(pair.first) != groups.name(pair.second) for pair in near)
    names = {one.patient: patients.name(one.patient) for one in prints}
    sides = Union(dict.fromkeys(names.values()))
    for pair in near if merge_near else ():
        sides.join(names[prints[pair.first].patient], names[prints[pair.second].patient])
    of_side = {name: sides.name(name) for name in names.values()}
    return Doubles(names, of_side, same, near, threshold, groups.sets(), apart)


def as_json(doubles: Doubles, prints: Sequence[Print], merge_near: bool) -> dict:
    """For the card: doubles and merged patients by name, near ones by groups and their sizes."""
    merged: dict[str, list[str]] = {}
    for patient, name in doubles.patients.items():
        merged.setdefault(name, []).append(patient)
    return {
        "doubles": [_shown(pair, prints[pair.first], prints[pair.second]) for pair in doubles.same],
        "merged_patients": [names for names in merged.values() if len(names) > 1],
        "near": {
            "threshold": doubles.threshold,
            "pairs": doubles.near,
            "groups": [[prints[index].case for index in group] for group in doubles.groups],
            "apart": doubles.apart,
            "merged": merge_near,
        },
    }


def _shown(pair: Pair, first: Print, second: Print) -> dict:
    told = {"kind": pair.kind, "cases": [first.case, second.case], "patients": [first.patient, second.patient]}
    if first.mask is not None and second.mask is not None:
        told["masks"] = "equal" if first.mask == second.mask else "different"
    return told
