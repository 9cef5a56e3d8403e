"""The one door to the raw cohorts: a reader by name, masks in the task's class indices, every case checked.

A reader is a module with ``CLASSES`` (names of the values in its masks, the background first; None where they are the
owner's affair), ``index`` (which files are images and masks, and what else is known of a case) and
``decode_mask`` (bytes and file name → uint8 HxW). Images are decoded alike for all.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from pipeline.cohorts import fetal_planes, folder, hc18, psfhs
from pipeline.cohorts.source import Source, pair_masks
from pipeline.config.cohorts import Cohort
from pipeline.data.case import Case, check_case, pixel_hash
from pipeline.data.structures import Structure, names
from pipeline.imaging.decoding import class_indices, decode_image
from pipeline.run.errors import InputError

READERS = {"hc18": hc18, "fetal_planes": fetal_planes, "psfhs": psfhs, "folder": folder}


def read_cohort(cohort: str, settings: Cohort, structures: Sequence[Structure], root: Path) -> Iterator[Case]:
    """The checked cases of a raw cohort, in natural order of their ids.

    Of a cohort of role ``unlabelled`` no mask is opened and no circumference kept; its cases are for training.

    Args:
        cohort: name given to the cases.
        root: a folder (archives in it are read in place) or an archive.

    Raises:
        InputError: at once where its classes do not fit the structures, while iterating for bad files.
    """
    reader = READERS[settings.reader]
    classes = settings.classes or reader.CLASSES or ("background", *names(structures))
    lookup = class_lookup(cohort, classes, settings.structures or {}, structures)
    return _named(check_duplicates(_cases(cohort, settings, reader, lookup, root)), cohort)


def class_lookup(
    cohort: str, classes: Sequence[str], mapping: dict[str, str | None], structures: Sequence[Structure]
) -> np.ndarray:
    """uint8 (len(classes),): the task's class index of every class of a cohort.

    Args:
        classes: of the cohort, the background first. mapping: class → structure, or None for background; a class that
            is named like a structure needs no entry.

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
    if lacking := [name for name in known if name not in targets]:
        raise InputError(
            f"key '{key}': no class of the cohort ({', '.join(classes[1:])}) is the structure '{lacking[0]}'; "
            "map one to it, or leave the cohort out of this task"
        )
    return np.array([0, *(0 if target is None else known.index(target) + 1 for target in targets)], np.uint8)


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


def _cases(cohort: str, settings: Cohort, reader, lookup: np.ndarray, root: Path) -> Iterator[Case]:
    images_only, first = settings.role == "unlabelled", {}
    with Source(root) as source:
        images, masks, fields = reader.index(source, settings.labelled)
        for case_id, image_name, mask_name in pair_masks(images, {} if images_only else masks, settings.labelled):
            (image, pixel_mm), mask = decode_image(source.read(image_name), image_name, settings.window), None
            if mask_name is not None:
                mask = class_indices(reader.decode_mask(source.read(mask_name), mask_name), len(lookup))
            fixed = {"hc_mm": None, "split": "train"} if images_only else {}
            about = {"pixel_mm": pixel_mm} | fields[case_id] | fixed
            if "patient" not in about:
                about["patient"] = first.setdefault(pixel_hash(image), case_id)
            source_of_mask = None if mask is None else "annotated"
            case = Case(id=case_id, cohort=cohort, image=image, mask=mask, mask_source=source_of_mask, **about)
            check_case(case, len(lookup) - 1)
            yield case if mask is None else replace(case, mask=_to_structures(case, lookup))


def _to_structures(case: Case, lookup: np.ndarray) -> np.ndarray:
    mask = lookup[case.mask]
    if not mask.any():
        raise InputError(f"case '{case.id}': its mask holds none of the task's structures; remove the case")
    return mask


def _named(cases: Iterable[Case], cohort: str) -> Iterator[Case]:
    """The cases; an error on the way says which cohort it met."""
    try:
        yield from cases
    except InputError as error:
        raise InputError(f"cohort '{cohort}': {error}") from error
