"""What a reader makes of a folder, looked at to the end: problems are collected, where a stage stops at the first."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np

from pipeline.cohorts.doubles import fingerprint
from pipeline.cohorts.grouping import as_json, find_doubles
from pipeline.cohorts.plausibility import implausible
from pipeline.cohorts.readers import READERS, Entry, class_lookup, decode_entry
from pipeline.cohorts.source import Files, Source, natural_key, passed_over, suffix
from pipeline.data.case import Case
from pipeline.data.structures import Structure, names
from pipeline.decoding.decode import IMAGE_SUFFIXES
from pipeline.run.errors import InputError

Told = tuple[str, str]
"""(Case or file, what is said of it.)"""


class Looked(NamedTuple):
    """A case that could be read. grey: least, mean and greatest level. shares: of the image, by class index from 1."""

    entry: Entry
    patient: str
    size: tuple[int, int]
    grey: tuple[int, float, int]
    pixel_mm: float | None
    hc_mm: float | None
    ga_days: float | None
    ga_source: str | None
    shares: tuple[float, ...] | None


@dataclass
class Inspection:
    """problems: a stage would refuse these. warnings: it would read them, and list them in the cohort's card.

    lookup: class of a mask → index of a structure. doubles: as in that card. broken: cases that could not be read.
    """

    reader: str
    structures: Sequence[Structure]
    lookup: np.ndarray
    labelled: bool
    window: tuple[float, float] | None
    passed_over: dict[str, list[str]]
    looked: list[Looked] = field(default_factory=list)
    problems: list[Told] = field(default_factory=list)
    warnings: list[Told] = field(default_factory=list)
    doubles: dict = field(default_factory=dict)
    patients: int = 0
    broken: int = 0

    @property
    def sizes(self) -> list[tuple[tuple[int, int], int]]:
        """((height, width), how many images), the most frequent first."""
        return Counter(one.size for one in self.looked).most_common()


def inspect(
    root: Path,
    reader: str | None = None,
    structures: Sequence[Structure] | None = None,
    window: tuple[float, float] | None = None,
    progress: Callable[[Sequence], Iterable] = iter,
) -> Inspection:
    """Read a folder or archive as the stage ``prepare`` would, with all its images and masks.

    Args:
        reader: name of a reader; None for the first that knows the files.
        structures: what the masks hold, in the order of their values; None for the classes of the reader, a head else.
        window: as in the section cohorts. progress: wraps the cases while they are read.

    Raises:
        InputError: no such folder, nothing in it, or no reader knows its files.
    """
    with Source(root) as source:
        name, files, problems = _recognised(source, reader)
        module, labelled = READERS[name], bool(files.masks)
        # What only a cohort with masks needs, such as a table, is a problem like any other.
        if labelled and not problems:
            files, problems = _indexed(source, name, True)
        structures = tuple(structures or _of_classes(module.CLASSES or ("background", "head")))
        lookup = class_lookup(root.name, module.CLASSES or ("background", *names(structures)), {}, structures)
        found = Inspection(name, structures, lookup, labelled, window, passed_over(source, files), problems=problems)
        problems += _unpaired(files) if labelled else ()
        prints = []
        for entry in progress(_entries(files)):
            case = _read(found, source, module, entry)
            if case is not None:
                prints.append(fingerprint(case))
    twice = find_doubles(prints, merge_near=False)
    found.doubles, found.patients = as_json(twice, prints, False), len(set(twice.patients.values()))
    found.warnings += _of_doubles(found.doubles, {one.case: twice.patients[one.patient] for one in prints})
    return found


def cases_of(root: Path, inspection: Inspection, entries: Sequence[Entry]) -> list[Case]:
    """Cases that could be read, once more: they are not kept, so that memory does not grow with the folder."""
    module, lookup, window = READERS[inspection.reader], inspection.lookup, inspection.window
    with Source(root) as source:
        return [decode_entry(source, module, entry, root.name, lookup, lambda text: None, window) for entry in entries]


def _recognised(source: Source, wanted: str | None) -> tuple[str, Files, list[Told]]:
    reasons = []
    for name in [wanted] if wanted else READERS:
        try:
            files, problems = _indexed(source, name, False)
        except InputError as error:
            reasons.append(f"{name}: {error}")
            continue
        if files.images:
            return name, files, problems
        reasons.append(f"{name}: no image found")
    raise InputError(f"no reader knows these files; {'; '.join(reasons)}; see data/README.md, 'Your own images'")


def _indexed(source: Source, name: str, labelled: bool) -> tuple[Files, list[Told]]:
    """What a reader makes of the names; where it refuses a table, what it makes of the images, and the refusal.

    Raises:
        InputError: it refuses the images too.
    """
    index = READERS[name].index
    try:
        return index(source, labelled), []
    except InputError as error:
        images = [one for one in source.names if suffix(one) in IMAGE_SUFFIXES]
        return index(SimpleNamespace(names=images, read=source.read), False), [(name, str(error))]


def _of_classes(classes: Sequence[str]) -> tuple[Structure, ...]:
    return tuple(Structure(name, "head" if "head" in name else None) for name in classes[1:])


def _unpaired(files: Files) -> list[Told]:
    lacking = [
        (name, "image without a mask; draw one, or remove the image")
        for case, name in files.images.items()
        if case not in files.masks
    ]
    extra = [
        (name, "mask without an image; add the image, or remove the mask")
        for case, name in files.masks.items()
        if case not in files.images
    ]
    return [*lacking, *extra]


def _entries(files: Files) -> list[Entry]:
    ordered = sorted(files.images, key=natural_key)
    return [Entry(case, files.images[case], files.masks.get(case), files.fields[case]) for case in ordered]


def _read(found: Inspection, source: Source, module, entry: Entry) -> Case | None:
    """Read one case into the account; None where it cannot be read."""
    try:
        note = partial(_warn, found, entry.case_id)
        case = decode_entry(source, module, entry, "", found.lookup, note, found.window)
    except InputError as error:
        found.problems.append((entry.case_id, str(error)))
        found.broken += 1
        return None
    for finding in implausible(case, found.structures):
        (found.problems if finding.refused else found.warnings).append((entry.case_id, finding.text))
    image, mask = case.image, case.mask
    counts = None if mask is None else np.bincount(mask.ravel(), minlength=len(found.structures) + 1)[1:] / mask.size
    grey = int(image.min()), float(image.mean()), int(image.max())
    shares = None if counts is None else tuple(map(float, counts))
    known = case.pixel_mm, case.hc_mm, case.ga_days, case.ga_source
    found.looked.append(Looked(entry, case.patient, image.shape, grey, *known, shares))
    return case


def _of_doubles(doubles: dict, patient_of: dict[str, str]) -> list[Told]:
    told = []
    for pair in doubles["doubles"]:
        (case, other), (patient, twin) = pair["cases"], pair["patients"]
        if patient != twin:
            text = f"the image of '{other}' ({pair['kind']}); the patients '{patient}' and '{twin}' are taken for one"
            told.append((case, text))
        if pair.get("masks") == "different":
            told.append((case, f"the image of '{other}' ({pair['kind']}) with another mask; keep the better one"))
    near = [group for group in doubles["near"]["groups"] if len({patient_of[case] for case in group}) > 1]
    if near:
        count = sum(map(len, near))
        text = (
            f"resembles '{near[0][1]}' of another patient; so it is with {count} images in {len(near)} groups; if they "
            "are frames of one patient, say so in the column patient of cases.csv, or set near_doubles: merge"
        )
        told.append((near[0][0], text))
    return told


def _warn(found: Inspection, case_id: str, text: str) -> None:
    found.warnings.append((case_id, text))
