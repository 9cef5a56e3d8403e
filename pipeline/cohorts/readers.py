"""The one door to the raw cohorts: a reader by name, masks in the task's class indices, every case checked.

A reader is a module with ``CLASSES`` (names of the values in its masks, the background first; None where they are the
owner's affair), ``index`` (which files are images and masks, and what else is known of a case) and ``decode_mask``
(bytes, file name and whom to tell what is unusual → uint8 HxW). Images are decoded alike for all. Where a publisher
gives one patient one name in several cohorts, their readers have the same ``PATIENTS_NAMED_BY``. ``REMARKS``, if a
reader has them, are told of every cohort that it reads.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from pipeline.cohorts import fetal_planes, fh_ps_aop, folder, hc18, psfhs
from pipeline.cohorts.ages import with_implied_ages
from pipeline.cohorts.bounds import PIXEL_SIZES_AGREE
from pipeline.cohorts.mask_labels import declared_classes, refuse_sum
from pipeline.cohorts.plausibility import Finding, implausible
from pipeline.cohorts.source import Files, Note, Source, pair_masks, passed_over
from pipeline.config.cohorts import Cohort
from pipeline.data.ages import FORMULAS
from pipeline.data.case import Case, check_case
from pipeline.data.schema import TARGETS
from pipeline.data.structures import Structure, names
from pipeline.decoding.decode import class_indices, decode_image
from pipeline.run.errors import InputError

READERS = {"hc18": hc18, "fetal_planes": fetal_planes, "psfhs": psfhs, "fh_ps_aop": fh_ps_aop, "folder": folder}
_NOT_READ = {
    "unlabelled": "masks of an unlabelled cohort",
    "foreign": "masks that lack a structure of the task, of a cohort that is not declared labelled",
}
_NAMED = 10
"""Cases that are named one by one where the same is told of them; of more the first is named and all are counted."""


class Entry(NamedTuple):
    """A case before it is decoded: its id, the names of its files, and fields of ``Case`` that the reader knows."""

    case_id: str
    image: str
    mask: str | None
    fields: dict


@dataclass
class Account:
    """What reading a cohort leaves to be told. remarks: of all of it. notes: (case, what its mask was taken for)."""

    remarks: list[str] = field(default_factory=list)
    passed_over: dict[str, list[str]] = field(default_factory=dict)
    notes: list[tuple[str, str]] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)

    def note(self, case_id: str, text: str) -> None:
        self.notes.append((case_id, text))

    def refuse(self) -> None:
        """Raises InputError: naming the first case whose value is refused, and how many there are."""
        refused = [one for one in self.findings if one.refused]
        if refused:
            others = list(dict.fromkeys(one.case for one in refused if one.case != refused[0].case))
            shown = ", ".join(others[:5]) + (" ..." if len(others) > 5 else "")
            more = f" ({len(others)} more cases are implausible: {shown})" if others else ""
            raise InputError(f"case '{refused[0].case}': {refused[0].text}{more}")

    def warnings(self) -> list[dict]:
        """What is told of cases that are read all the same."""
        told = [(one.case, one.text) for one in self.findings if not one.refused]
        return [{"case": case_id, "text": text} for case_id, text in [*_shortened(self.notes), *told]]


def read_cohort(
    cohort: str, settings: Cohort, structures: Sequence[Structure], root: Path, account: Account | None = None
) -> Iterator[Case]:
    """The checked cases of a raw cohort, in natural order of their ids.

    Of a cohort of role ``unlabelled`` no mask is opened and no measurement kept; its cases are for training. Nor is a
    mask opened of one that need not be labelled and whose classes leave out a structure of the task. With an
    ``age_formula`` a case without an age of its own gets the one that its circumference implies.

    Args:
        cohort: name given to the cases.
        root: a folder (archives in it are read in place) or an archive.
        account: filled while the cases are read.

    Raises:
        InputError: at once where its classes do not fit the structures; while iterating for bad files; after the last
            case for implausible ones, all of them together.
    """
    reader = READERS[settings.reader]
    lookup = lookup_of(cohort, settings, structures)
    account = account or Account()
    cases = _cases(cohort, settings, reader, structures, lookup, root, account)
    if settings.age_formula is not None:
        cases = with_implied_ages(cases, FORMULAS[settings.age_formula], account.remarks)
    return _named(cases, cohort)


def lookup_of(cohort: str, settings: Cohort, structures: Sequence[Structure]) -> np.ndarray:
    """:func:`class_lookup` of a cohort as it is declared."""
    classes = settings.classes or READERS[settings.reader].CLASSES or ("background", *names(structures))
    return class_lookup(cohort, classes, settings.structures or {}, structures, every=settings.labelled)


def class_lookup(
    cohort: str,
    classes: Sequence[str],
    mapping: dict[str, str | None],
    structures: Sequence[Structure],
    every: bool = True,
) -> np.ndarray:
    """uint8 (len(classes),): the task's class index of every class of a cohort.

    Args:
        classes: of the cohort, the background first. mapping: class → structure, or None for background; a class that
            is named like a structure needs no entry.
        every: whether each structure needs a class.

    Raises:
        InputError: a class without a structure, or a structure without a class.
    """
    key, known = f"cohorts.{cohort}.structures", names(structures)
    if unknown := [name for name in mapping if name not in classes[1:]]:
        raise InputError(f"key '{key}': '{unknown[0]}' is no class of the cohort, which has {', '.join(classes[1:])}")
    targets = [mapping.get(name, name) for name in classes[1:]]
    for name, target in zip(classes[1:], targets, strict=True):
        if target is not None and target not in known:
            raise InputError(
                f"key '{key}': class '{name}' goes to '{target}', which is not among the task's structures "
                f"({', '.join(known)}); map it to one of them, or to null for background"
            )
    if every and (lacking := [name for name in known if name not in targets]):
        raise InputError(
            f"key '{key}': no class of the cohort ({', '.join(classes[1:])}) is the structure '{lacking[0]}'; "
            "map one to it, or leave the cohort out of this task"
        )
    return np.array([0, *(0 if target is None else known.index(target) + 1 for target in targets)], np.uint8)


def entries(
    source: Source, reader, labelled: bool, not_read: str | None = None
) -> tuple[list[Entry], dict[str, list[str]]]:
    """The cases that a reader finds, in natural order of their ids, and what it passes over (names by what they are).

    Args:
        not_read: what the masks are where none is to be opened.

    Raises:
        InputError: no image, an image or a mask without the other, or what else ``index`` of the reader refuses.
    """
    files: Files = reader.index(source, labelled)
    if not_read:
        unread = {not_read: list(files.masks.values())}
        files = files._replace(masks={}, others={**files.others, **unread})
    left = passed_over(source, files)
    if not files.images:
        found = ", ".join(f"{len(found)} {what}" for what, found in left.items())
        raise InputError(f"no images found that this reader knows ({found}); compare the files with data/README.md")
    paired = pair_masks(files.images, files.masks, labelled)
    return [Entry(case_id, image, mask, files.fields[case_id]) for case_id, image, mask in paired], left


def decode_entry(
    source: Source,
    reader,
    entry: Entry,
    cohort: str,
    lookup: np.ndarray,
    note: Note,
    window: tuple[float, float] | None = None,
    values: Sequence[int] | None = None,
) -> Case:
    """One case, with its mask in the task's class indices.

    Args:
        lookup: see :func:`class_lookup`. note: told what is unusual about the mask. window, values: see the section
            cohorts.

    Raises:
        InputError: naming the file or case, and what is wrong with it.
    """
    image, pixel_mm = decode_image(source.read(entry.image), entry.image, window)
    mask = None
    if entry.mask is not None:
        mask = reader.decode_mask(source.read(entry.mask), entry.mask, note)
        mask = declared_classes(mask, values, entry.mask) if values else class_indices(mask, len(lookup))
        refuse_sum(mask, len(lookup), entry.mask)
    about = {"patient": entry.case_id, "pixel_mm": pixel_mm} | entry.fields
    if pixel_mm and abs(about["pixel_mm"] / pixel_mm - 1) > PIXEL_SIZES_AGREE:
        raise InputError(
            f"case '{entry.case_id}': a pixel is {pixel_mm:.4g} mm by its file '{entry.image}' and "
            f"{about['pixel_mm']:.4g} mm by the table; correct one of them"
        )
    source_of_mask = None if mask is None else "annotated"
    case = Case(id=entry.case_id, cohort=cohort, image=image, mask=mask, mask_source=source_of_mask, **about)
    check_case(case, len(lookup) - 1)
    return case if mask is None else replace(case, mask=_to_structures(case, lookup))


def _cases(
    cohort: str, settings: Cohort, reader, structures: Sequence[Structure], lookup: np.ndarray, root: Path,
    account: Account,
) -> Iterator[Case]:  # fmt: skip
    unlabelled, whole = settings.role == "unlabelled", len({*lookup.tolist(), 0}) == len(structures) + 1
    not_read = _NOT_READ[settings.role] if unlabelled or not whole else None
    account.remarks += getattr(reader, "REMARKS", ())
    with Source(root) as source:
        found, left = entries(source, reader, settings.labelled, not_read)
        account.passed_over.update(left)
        for entry in found:
            note = partial(account.note, entry.case_id)
            case = decode_entry(source, reader, entry, cohort, lookup, note, settings.window, settings.values)
            if unlabelled:
                case = replace(case, split="train", **dict.fromkeys(TARGETS))
            account.findings += implausible(case, structures)
            for name in _absent(case, structures):
                account.note(case.id, f"its mask holds no {name}")
            yield case
    account.refuse()


def _to_structures(case: Case, lookup: np.ndarray) -> np.ndarray:
    mask = lookup[case.mask]
    if not mask.any():
        raise InputError(f"case '{case.id}': its mask holds none of the task's structures; remove the case")
    return mask


def _absent(case: Case, structures: Sequence[Structure]) -> list[str]:
    """Names of the structures that an annotated mask lacks."""
    if case.mask is None:
        return []
    there = np.bincount(case.mask.ravel(), minlength=len(structures) + 1)[1:]
    return [one.name for one, count in zip(structures, there, strict=True) if not count]


def _shortened(notes: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """The notes; one that is told of many cases stands once, with their number."""
    times, told = Counter(text for _, text in notes), {}
    for case_id, text in notes:
        if (count := times[text]) > _NAMED:
            told.setdefault(text, (case_id, f"{text} (and so in {count - 1:,} more cases)"))
    return [*told.values(), *(note for note in notes if times[note[1]] <= _NAMED)]


def _named(cases: Iterable[Case], cohort: str) -> Iterator[Case]:
    """The cases; an error on the way says which cohort it met."""
    try:
        yield from cases
    except InputError as error:
        raise InputError(f"cohort '{cohort}': {error}") from error
