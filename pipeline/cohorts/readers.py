"""The one door to the raw cohorts: a reader by name, every case held against the contract."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from pipeline.cohorts import fetal_planes, folder, hc18, psfhs
from pipeline.data.case import Case, check_case, pixel_hash
from pipeline.run.errors import InputError

READERS = {"hc18": hc18, "fetal_planes": fetal_planes, "psfhs": psfhs, "folder": folder}


def read_cohort(
    reader: str, root: Path, cohort: str, classes: Sequence[str] | None, labelled: bool
) -> tuple[tuple[str, ...], Iterator[Case]]:
    """The class names (background first) and the checked cases of a raw cohort, in natural order of their ids.

    reader: a key of ``READERS``.
    root: a folder (archives in it are read in place) or an archive.
    cohort: name given to the cases.
    classes: replaces the reader's own class names; reader ``folder`` only.
    labelled: every image must have a mask. Otherwise a mask is optional, and read where there is one.

    Raises:
        InputError: at once for a wrong argument, while iterating for bad files.
    """
    if reader not in READERS:
        raise InputError(f"reader '{reader}' is unknown; choose one of {', '.join(READERS)}")
    module = READERS[reader]
    names = module.CLASSES if classes is None else tuple(classes)
    if len(names) < 2 or len(set(names)) != len(names):
        raise InputError(f"classes of cohort '{cohort}': give two or more different names, the background first")
    if module is folder:
        cases = folder.read(root, labelled, names)
    elif names != module.CLASSES:
        raise InputError(f"reader '{reader}' has the fixed classes {', '.join(module.CLASSES)}; leave 'classes' out")
    else:
        cases = module.read(root, labelled)
    return names, _named(check_duplicates(_checked(cases, cohort, len(names))), cohort)


def check_duplicates(cases: Iterable[Case]) -> Iterator[Case]:
    """Pass the cases on, refusing one image under two patients: it could stand on both sides of a split.

    Equal images of one patient are let through; they stay on one side.

    Raises:
        InputError: naming both cases.
    """
    first: dict[str, tuple[str, str]] = {}
    for case in cases:
        other, patient = first.setdefault(pixel_hash(case.image), (case.id, case.patient))
        if patient != case.patient:
            raise InputError(
                f"cases '{other}' and '{case.id}' are the same image but patients '{patient}' and '{case.patient}'; "
                "remove one, or give both one patient"
            )
        yield case


def _checked(cases: Iterable[Case], cohort: str, n_classes: int) -> Iterator[Case]:
    for case in cases:
        check_case(case, n_classes)
        yield replace(case, cohort=cohort)


def _named(cases: Iterable[Case], cohort: str) -> Iterator[Case]:
    """The cases; an error on the way says which cohort it met."""
    try:
        yield from cases
    except InputError as error:
        raise InputError(f"cohort '{cohort}': {error}") from error
