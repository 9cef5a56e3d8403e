"""One case of a dataset: an image, its mask when there is one, and where they come from."""

import hashlib
import re
from dataclasses import dataclass

import numpy as np

from pipeline.data.ages import check_age
from pipeline.run.errors import InputError

SPLITS = ("evaluation", "train", "val", "test")
MASK_SOURCES = ("annotated", "filter", "parent", "shape_model", "user", "simulated", "generated")
_PATH_SAFE = re.compile(r"[^\W_][\w.-]*")


@dataclass(frozen=True)
class Case:
    """A row of a dataset (``data/README.md`` has the contract).

    image: uint8, HxW, grey, native resolution.
    mask: uint8, HxW, class indices (0 is background), or None where the case is unlabelled.
    pixel_mm: edge of a (square) pixel in millimetres, where the publisher gives it.
    hc_mm: head circumference in millimetres as published (not derived from the mask), where given.
    aop_deg, hsd_mm: angle of progression in degrees and shortest distance from symphysis to head in mm, where given.
    ga_days, ga_source: age in days and where it is from (``ages.SOURCES``): known, or implied by HC; both or neither.
    parent, seed, transform: synthetic cases only; see ``data/README.md``.
    """

    id: str
    cohort: str
    patient: str
    image: np.ndarray
    mask: np.ndarray | None
    split: str = "test"
    pixel_mm: float | None = None
    hc_mm: float | None = None
    aop_deg: float | None = None
    hsd_mm: float | None = None
    ga_days: float | None = None
    ga_source: str | None = None
    country: str | None = None
    device: str | None = None
    mask_source: str | None = None
    parent: str | None = None
    seed: int | None = None
    transform: str | None = None


def pixel_hash(array: np.ndarray) -> str:
    """SHA-256 of the decoded pixels and their shape, in hexadecimal."""
    digest = hashlib.sha256(f"{array.shape}".encode())
    digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def check_case(case: Case, n_structures: int) -> None:
    """Hold one case against the contract.

    Raises:
        InputError: naming the case and what is wrong with it.
    """
    if not _PATH_SAFE.fullmatch(case.id):
        raise InputError(f"case '{case.id}': the id may hold letters, digits, '.', '_' and '-' only; rename it")
    if case.split not in SPLITS:
        raise InputError(f"case '{case.id}': split '{case.split}' is not one of {', '.join(SPLITS)}")
    if case.image.dtype != np.uint8 or case.image.ndim != 2 or case.image.size == 0:
        raise InputError(f"case '{case.id}': the image must be grey 8-bit, got {case.image.dtype} {case.image.shape}")
    check_age(case.id, case.ga_days, case.ga_source, case.hc_mm)
    if case.mask is None:
        if case.mask_source is not None:
            raise InputError(
                f"case '{case.id}': mask_source '{case.mask_source}' but no mask; give the mask or drop it"
            )
        return
    if case.mask_source not in MASK_SOURCES:
        raise InputError(f"case '{case.id}': mask_source '{case.mask_source}' is not one of {', '.join(MASK_SOURCES)}")
    if case.mask.shape != case.image.shape:
        raise InputError(
            f"case '{case.id}': mask is {case.mask.shape[1]}x{case.mask.shape[0]} but its image is "
            f"{case.image.shape[1]}x{case.image.shape[0]}; export both at the same size"
        )
    if case.mask.dtype != np.uint8:
        raise InputError(f"case '{case.id}': the mask must be 8-bit class indices, got {case.mask.dtype}")
    counts = np.bincount(case.mask.ravel(), minlength=n_structures + 1)
    if len(counts) > n_structures + 1:
        found = ", ".join(str(value) for value in np.flatnonzero(counts))
        raise InputError(
            f"case '{case.id}': mask holds values {found}, allowed are 0 to {n_structures}; "
            "store class indices, or declare the classes of this cohort and their values"
        )
    if counts[1:].sum() == 0:
        raise InputError(f"case '{case.id}': the mask is empty; remove the case or annotate it")
