"""A raw cohort becomes a dataset: read once, doubles found, patients split, and everything odd told in its card."""

import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from pipeline.cohorts.doubles import Print, fingerprint
from pipeline.cohorts.grouping import Doubles, as_json, find_doubles
from pipeline.cohorts.readers import READERS, Account, read_cohort
from pipeline.cohorts.splits import split_patients
from pipeline.config.cohorts import Cohort
from pipeline.data.ages import SOURCES
from pipeline.data.case import Case
from pipeline.data.structures import Structure
from pipeline.data.writer import assemble_dataset, write_shards
from pipeline.run import files

log = logging.getLogger("pipeline.cohorts")
_RECORDED = {"reader", "labelled", "classes", "values", "structures", "mirrored", "age_formula"}


def prepare_cohort(
    out: Path, cohort: str, settings: Cohort, structures: Sequence[Structure], raw: Path, seed: int
) -> None:
    """Read a raw cohort and write it as a dataset to ``out``, a new folder.

    Its cases are decoded once, into shards without splits: doubles are known only after the last of them, and decide
    which patients are one. No more than the PNGs of one shard is in memory.

    Raises:
        InputError: naming the file, case or key that is at fault.
    """
    account, prints, ages = Account(), [], Counter()
    cases = read_cohort(cohort, settings, structures, raw, account)
    if settings.mirrored:
        cases = map(turned_back, cases)
    drafts = write_shards(out / "drafts", _noted(cases, prints, ages), structures)
    merge_near = settings.near_doubles == "merge"
    doubles = find_doubles(prints, merge_near, settings.near_correlation)
    split_of = _splits(doubles, prints, settings, seed)
    told_of_doubles = as_json(doubles, prints, merge_near)
    told_of_doubles["near"]["across_splits"] = _across_splits(doubles, prints, split_of)
    card = {
        "cohort": cohort,
        "patients": len(split_of),
        "public_patients": getattr(READERS[settings.reader], "PATIENTS_NAMED_BY", None),
        "ages": {source: ages[source] for source in SOURCES if ages[source]},
        "remarks": account.remarks,
        "passed_over": [{"what": w, "count": len(n), "first": n[0]} for w, n in account.passed_over.items()],
        "warnings": account.warnings(),
        **told_of_doubles,
    }
    assemble_dataset(
        out,
        drafts,
        role=settings.role,
        structures=structures,
        labels=(),
        provenance=settings.model_dump(mode="json", include=_RECORDED, exclude_none=True),
        assigned={one.case: (kept := doubles.patients[one.patient], split_of[kept]) for one in prints},
        source=card,
    )
    files.remove(out / "drafts")
    for line in told(card):
        log.warning("cohort '%s': %s", cohort, line)


def turned_back(case: Case) -> Case:
    """A mirrored case as it was before."""
    image, mask = (None if one is None else np.ascontiguousarray(one[:, ::-1]) for one in (case.image, case.mask))
    return replace(case, image=image, mask=mask)


def told(card: dict) -> Iterator[str]:
    """What of a card goes to the log: a line for every kind of thing, with its count and first example."""
    yield from card["remarks"]
    for one in card["passed_over"]:
        yield f"{one['count']} {one['what']} are passed over, the first: '{one['first']}'"
    if warnings := card["warnings"]:
        yield f"{len(warnings)} warnings, the first: case '{warnings[0]['case']}': {warnings[0]['text']}"
    if doubles := card["doubles"]:
        first, kind = " and ".join(map(repr, doubles[0]["cases"])), doubles[0]["kind"]
        yield f"{len(doubles)} doubles, the first: cases {first} ({kind})"
    if merged := card["merged_patients"]:
        count, names = sum(map(len, merged)), merged[0]
        yield f"{count} patients are merged into {len(merged)}, the first: {' and '.join(names)}, named {names[0]}"
    if pairs := card["near"]["pairs"]:
        largest = max(map(len, card["near"]["groups"]))
        done = "merged" if card["near"]["merged"] else "not merged"
        yield f"{pairs} other pairs of images are near, in groups of up to {largest}; {done}"
    if (apart := card["near"]["apart"]) and card["near"]["merged"]:
        yield f"{apart} near pairs are of two patients, whose groups would be too large together; a split parts none"
    if across := card["near"]["across_splits"]:
        yield f"{across} near pairs of images lie in two splits; near_doubles: merge keeps them on one side"


def _splits(doubles: Doubles, prints: Sequence[Print], settings: Cohort, seed: int) -> dict[str, str]:
    """Patient after merging → split."""
    sides = [doubles.sides[doubles.patients[one.patient]] for one in prints]
    split_of = dict.fromkeys(sides, "train" if settings.role == "unlabelled" else "test")
    if settings.splits is not None:
        split_of = split_patients(sides, settings.splits, seed)
    return {patient: split_of[side] for patient, side in doubles.sides.items()}


def _across_splits(doubles: Doubles, prints: Sequence[Print], split_of: dict[str, str]) -> int:
    """How many pairs of near images lie in two splits."""
    splits = [split_of[doubles.patients[one.patient]] for one in prints]
    return sum(splits[pair.first] != splits[pair.second] for pair in doubles.pairs)


def _noted(cases: Iterable[Case], prints: list[Print], ages: Counter) -> Iterator[Case]:
    for case in cases:
        prints.append(fingerprint(case))
        ages[case.ga_source] += 1
        yield case
