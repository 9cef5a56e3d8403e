"""Doubles between cohorts: an image or patient that something is trained on is in no cohort that it is tested on."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, groupby

from pipeline.cohorts.doubles import NEAR, Print, fingerprint, pairs_between
from pipeline.data.dataset import Dataset
from pipeline.run.errors import InputError

log = logging.getLogger("pipeline.cohorts")
SHOWN = 10
"""Pairs of a kind that are named; all are counted."""
_TOLD = ("remarks", "passed_over", "warnings", "doubles", "merged_patients", "near")


_WHAT = {
    "patient": "are one patient",
    "near": "are near images, which near_doubles: merge takes for one patient's",
}


@dataclass(frozen=True)
class Member:
    """A prepared cohort: its prints in order, and the split of each case."""

    name: str
    dataset: Dataset
    prints: Sequence[Print]
    splits: Sequence[str]

    @property
    def role(self) -> str:
        return self.dataset.role

    @property
    def near(self) -> float:
        """The correlation above which images are near."""
        return self.dataset.source.get("near", {}).get("threshold", NEAR)

    @property
    def merged(self) -> bool:
        """Whether near images are one patient's, as is declared where patients are not known."""
        return self.dataset.near_merged


def member(name: str, dataset: Dataset) -> Member:
    """Reads every image once."""
    return Member(name, dataset, list(map(fingerprint, dataset.cases.decoded())), dataset.cases.column("split"))


def check_members(members: Sequence[Member]) -> list[dict]:
    """What two cohorts have in common, by pairs of cohorts and kinds, for the report.

    Raises:
        InputError: an equal or re-encoded image, or a patient, of a cohort that is trained on in one that is tested
            on, or a near image where one of them declares near_doubles: merge; naming both cases, and how many there
            are.
    """
    found, forbidden = [], []
    for one, other in combinations(members, 2):
        shared = [*_images(one, other), *_patients(one, other)]
        for kind, of_kind in groupby(sorted(shared), key=lambda item: item[0]):
            pairs = [(first, second) for _, first, second in of_kind]
            named = [_named(one, other, *pair) for pair in pairs[:SHOWN]]
            found.append({"cohorts": [one.name, other.name], "kind": kind, "count": len(pairs), "first": named})
            if kind != "near" or one.merged or other.merged:
                forbidden += [(kind, one, other, pair) for pair in pairs if _leaks(one, other, *pair)]
    if forbidden:
        for line in _all_named(forbidden):
            log.warning("%s", line)
        kind, one, other, pair = forbidden[0]
        first, second = _named(one, other, *pair)
        more = f"; {len(forbidden) - 1} more such pairs" if len(forbidden) > 1 else ""
        what = _WHAT.get(kind, f"are the same image ({kind})")
        raise InputError(
            f"case '{first}' of cohort '{one.name}' ({one.role}) and case '{second}' of cohort '{other.name}' "
            f"({other.role}) {what}, so it would be tested on what was trained on{more}; remove the cases from one of "
            "the cohorts, or leave one cohort out"
        )
    return found


def _all_named(forbidden: Sequence[tuple[str, Member, Member, tuple[int, int]]]) -> Iterator[str]:
    """All cases that are shared, a line for every two cohorts: those held out, else those used unlabelled. Of a shared
    patient the first.
    """
    for (one, other), found in groupby(forbidden, key=lambda item: (item[1].name, item[2].name)):
        shared = list(found)
        side = 1 if shared[0][1].role in ("held_out", "unlabelled") else 2
        gone = shared[0][side]
        places = sorted({item[3][side - 1] for item in shared})
        cases = ", ".join(gone.prints[place].case for place in places)
        yield f"cohorts '{one}' and '{other}' share {len(places)} cases of '{gone.name}': {cases}"


def summary(one: Dataset) -> Mapping:
    """What the report tells of a cohort."""
    about = {"role": one.role, "reader": one.provenance.get("reader"), "cases": len(one.cases)}
    patients = len(set(one.cases.column("patient")))
    return about | {"patients": patients} | {key: one.source[key] for key in _TOLD if key in one.source}


def _images(one: Member, other: Member) -> list[tuple[str, int, int]]:
    found = pairs_between(one.prints, other.prints, min(one.near, other.near))
    return [(pair.kind, pair.first, pair.second) for pair in found]


def _patients(one: Member, other: Member) -> list[tuple[str, int, int]]:
    """The first cases of every patient that both have, where one publisher named the patients of both."""
    publishers = {member.dataset.source.get("public_patients") for member in (one, other)}
    if len(publishers) > 1 or not publishers.pop():
        return []
    ours, theirs = _first_of(one), _first_of(other)
    return [("patient", ours[patient], theirs[patient]) for patient in ours if patient in theirs]


def _first_of(one: Member) -> dict[str, int]:
    """Patient → place of a case; patients that were merged by each of their names."""
    first: dict[str, int] = {}
    for place, row in enumerate(one.dataset.cases.table):
        first.setdefault(row["patient"], place)
    for names in one.dataset.source.get("merged_patients", []):
        first |= {name: first[names[0]] for name in names if names[0] in first}
    return first


def _leaks(one: Member, other: Member, first: int, second: int) -> bool:
    """Whether one of two cases may be trained on while the other is tested, chosen or measured on."""
    split_of = {one.role: one.splits[first], other.role: other.splits[second]}
    if "held_out" in split_of:
        return "train" in split_of or "unlabelled" in split_of
    return "unlabelled" in split_of and split_of.get("train", "train") != "train"


def _named(one: Member, other: Member, first: int, second: int) -> list[str]:
    return [one.prints[first].case, other.prints[second].case]
