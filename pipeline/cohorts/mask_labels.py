"""Values of masks that are no class indices: other conventions, and the marks that thresholds leave behind."""

from collections.abc import Sequence

import numpy as np

from pipeline.cohorts.source import Note
from pipeline.run.errors import InputError

IUGC = {7: 1, 8: 2}
"""Pubic symphysis and fetal head as JNU-IFM and the challenge IUGC store them → as PSFHS does."""


def from_iugc(mask: np.ndarray, name: str, note: Note) -> np.ndarray:
    """uint8 HxW in the classes of PSFHS, where the mask has the values 7 and 8; else the mask as it is.

    Raises:
        InputError: 7 or 8 beside other values, 15 (the sum of both) among them.
    """
    values = set(np.flatnonzero(np.bincount(mask.ravel())).tolist())
    if not values & {*IUGC, sum(IUGC)}:
        return mask
    if sum(IUGC) in values:
        raise _sum_of(name, *IUGC)
    if values - {0, *IUGC}:
        found = ", ".join(map(str, sorted(values)))
        raise InputError(
            f"mask '{name}' holds values {found}: 7 and 8 are pubic symphysis and fetal head of the IUGC data, and do "
            "not go with other classes; store 0, 1 and 2, or 0, 7 and 8"
        )
    note("values 7 and 8, the IUGC data's, are read as pubic symphysis and fetal head")
    lookup = np.zeros(9, np.uint8)
    lookup[list(IUGC)] = list(IUGC.values())
    return lookup[mask]


def declared_classes(mask: np.ndarray, values: Sequence[int], name: str) -> np.ndarray:
    """uint8 HxW class indices, from the value that each class is declared to have in the file.

    Raises:
        InputError: a value that is not declared.
    """
    lookup = np.full(256, 255, np.uint8)
    lookup[list(values)] = np.arange(len(values))
    classes = lookup[mask]
    if (unknown := mask[classes == 255]).size:
        raise InputError(
            f"mask '{name}' holds the value {unknown.min()}, declared under values are {', '.join(map(str, values))}; "
            "declare it with a class of its own (structures maps the class to null where it is background)"
        )
    return classes


def refuse_sum(mask: np.ndarray, n_classes: int, name: str) -> None:
    """Refuse 3 where the classes are 0, 1 and 2, with what makes it most often: sums of thresholds that overlap."""
    if n_classes == 3 and mask.max(initial=0) == 3:
        raise _sum_of(name, 1, 2)


def _sum_of(name: str, one: int, other: int) -> InputError:
    return InputError(
        f"mask '{name}' holds the value {one + other}, which two binary masks leave where they overlap and were added "
        f"({one} + {other}); give each of these pixels to one of the two structures and store it as {one} or {other}"
    )
