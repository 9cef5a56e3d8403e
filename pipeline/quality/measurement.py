"""One pass over a set of cases: every image becomes a few hundred numbers, and only those are kept."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from PIL import Image

from pipeline.data.case import Case
from pipeline.features.radiomics import radiomics
from pipeline.imaging.letterbox import letterbox, to_unit_range
from pipeline.quality import neighbours
from pipeline.quality.imprint import imprint
from pipeline.quality.shapes import DESCRIPTORS, describe
from pipeline.quality.speckle import STATISTICS, speckle

APPEARANCE = ("grey_mean", "grey_std", *STATISTICS)
"""Grey levels of the head, 0 to 255, and its speckle; see :mod:`pipeline.quality.speckle`."""
CHUNK = 32

Segment = Callable[[np.ndarray], np.ndarray]
"""The instrument: float32 (B, 1, S, S) in [-1, 1] → uint8 (B, S, S), class indices."""
Agreement = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]
"""Two class maps (S, S) → Dice and mean boundary distance in pixels of each structure, both (K,)."""


@dataclass(frozen=True)
class Measured:
    """What is kept of N images; a row is an image, nan where undefined.

    radiomics: (N, F) of ``radiomics.FEATURES``. descriptors: float16 (N, 64, 64). shapes: (N, K, 5).
    appearance: (N, 5) of ``APPEARANCE``. imprint: (N,).
    dice, boundary: (N, K), of the instrument's map and the image's own mask; boundary as a share of the longer side.
    shuffled_dice, shuffled_boundary: the same with the mask of the image before, as the floor.
    """

    ids: list[str]
    patients: list[str]
    radiomics: np.ndarray
    descriptors: np.ndarray
    shapes: np.ndarray
    appearance: np.ndarray
    imprint: np.ndarray
    dice: np.ndarray
    boundary: np.ndarray
    shuffled_dice: np.ndarray
    shuffled_boundary: np.ndarray

    def __len__(self) -> int:
        return len(self.ids)


def measure(
    cases: Sequence[Case],
    *,
    size: int,
    n_structures: int,
    instrument_size: int,
    segment: Segment,
    agreement: Agreement,
    threads: int = 1,
) -> Measured:
    """Measure cases in order, a chunk at a time.

    Args:
        cases: where an image has no mask, the instrument's map stands for it, except in what compares the two.
        size: pixels of the longer side at which texture and shapes are compared, whatever the native resolution.
        threads: images measured side by side.
    """
    rows, previous = [], None
    with ThreadPoolExecutor(threads) as pool:
        for chunk in _chunks(cases):
            boxed = np.stack([letterbox(case.image, instrument_size)[0] for case in chunk])
            maps = segment(to_unit_range(boxed)[:, None])
            measured = pool.map(lambda pair: _measure_one(*pair, size, n_structures), zip(chunk, maps, strict=True))
            for case, found, row in zip(chunk, maps, measured, strict=True):
                own = None if case.mask is None else letterbox(case.mask, instrument_size, mask=True)[0]
                row |= _agreements(found, own, previous, n_structures, agreement)
                rows.append({"ids": case.id, "patients": case.patient, **row})
                previous = own
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    arrays = {name: np.stack(values) for name, values in columns.items() if name not in ("ids", "patients")}
    return Measured(columns["ids"], columns["patients"], **arrays)


def _chunks(cases: Sequence[Case]) -> Iterator[list[Case]]:
    for start in range(0, len(cases), CHUNK):
        yield [cases[i] for i in range(start, min(start + CHUNK, len(cases)))]


def _measure_one(case: Case, found: np.ndarray, size: int, n_structures: int) -> dict:
    canvas, box = letterbox(case.image, size)
    image = np.ascontiguousarray(box.crop(canvas))
    canvas = _resized(found, size) if case.mask is None else letterbox(case.mask, size, mask=True)[0]
    mask = box.crop(canvas)
    head = mask > 0
    grey = image[head] if head.any() else np.array([np.nan])
    return {
        "radiomics": radiomics(image, head if head.any() else None),
        "descriptors": neighbours.descriptor(letterbox(case.image, neighbours.SIZE)[0]),
        "shapes": describe(mask, n_structures) if head.any() else np.full((n_structures, len(DESCRIPTORS)), np.nan),
        "appearance": np.array([grey.mean(), grey.std(), *speckle(image, head)]),
        "imprint": np.float64(imprint(image, mask)) if head.any() else np.float64(np.nan),
    }


def _resized(found: np.ndarray, size: int) -> np.ndarray:
    """The instrument's square map at another resolution, uint8 (size, size)."""
    return np.asarray(Image.fromarray(found).resize((size, size), Image.Resampling.NEAREST))


def _agreements(found, own, previous, n_structures: int, agreement: Agreement) -> dict:
    unknown = np.full(n_structures, np.nan)
    pairs = {"": own, "shuffled_": previous if own is not None else None}
    result = {}
    for prefix, mask in pairs.items():
        dice, boundary = (unknown, unknown) if mask is None else agreement(found, mask)
        result |= {f"{prefix}dice": dice, f"{prefix}boundary": boundary / found.shape[-1]}
    return result
