"""One pass over a set of cases: every image becomes a few hundred numbers, and only those are kept."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np

from pipeline.data.case import Case
from pipeline.data.chunks import chunks
from pipeline.data.stacking import at_size
from pipeline.imaging.field_of_view import field_of_view
from pipeline.imaging.letterbox import letterbox, to_unit_range
from pipeline.quality import neighbours
from pipeline.quality.imprint import imprints
from pipeline.quality.mask_shapes import shape_descriptors
from pipeline.quality.radiomics_distance import radiomics_features
from pipeline.quality.speckle import STATISTICS, speckle
from pipeline.tasks.segmentation.agreement import agreement
from pipeline.tasks.segmentation.pair import Pair

APPEARANCE = ("grey_mean", "grey_std", *STATISTICS)
"""Grey levels inside the mask, 0 to 255, and its speckle; see :mod:`pipeline.quality.speckle`."""
FIELD = ("field_mean", "field_std")
"""Mean and standard deviation of the grey levels in the field of view."""
CHUNK = 32

Segment = Callable[[np.ndarray], np.ndarray]
"""The evaluation network: float32 (B, 1, S, S) in [-1, 1] → uint8 (B, S, S), class indices."""


@dataclass(frozen=True)
class Measured:
    """What is kept of N images; a row is an image, nan where undefined.

    radiomics: (N, F) of ``radiomics_distance.FEATURES``. descriptors: float16 (N, 64, 64). shapes: (N, K, 5).
    appearance: (N, 5) of ``APPEARANCE``. field: (N, 2) of ``FIELD``. imprint: (N, K).
    dice, boundary: (N, K), of the evaluation network's map and the image's own mask; boundary as a share of the longer
    side. shuffled_dice, shuffled_boundary: the same with the mask of the image before, as the worst reference.
    angle, found_angle: (N,), angle of progression in degrees of the image's own mask and of the evaluation network's
    map; nan throughout for structures without one.
    """

    ids: list[str]
    patients: list[str]
    radiomics: np.ndarray
    descriptors: np.ndarray
    shapes: np.ndarray
    appearance: np.ndarray
    field: np.ndarray
    imprint: np.ndarray
    dice: np.ndarray
    boundary: np.ndarray
    shuffled_dice: np.ndarray
    shuffled_boundary: np.ndarray
    angle: np.ndarray
    found_angle: np.ndarray

    def __len__(self) -> int:
        return len(self.ids)


def measure(
    cases: Sequence[Case],
    *,
    size: int,
    n_structures: int,
    network_size: int,
    segment: Segment,
    threads: int = 1,
    pair: Pair | None = None,
) -> Measured:
    """Measure cases in order, a chunk at a time.

    Args:
        cases: where an image has no mask, the map of the evaluation network stands for it, except in what compares the
            two.
        size: pixels of the longer side at which texture and shapes are compared, whatever the native resolution.
        network_size: pixels of the evaluation network's input.
        threads: images measured side by side.
        pair: symphysis and head, where the structures have these roles.
    """
    rows, previous = [], None
    with ThreadPoolExecutor(threads) as pool:
        for chunk in chunks(cases, CHUNK):
            boxed = np.stack([letterbox(case.image, network_size)[0] for case in chunk])
            maps = segment(to_unit_range(boxed)[:, None])
            measured = pool.map(partial(_measure_image, size=size, n_structures=n_structures, pair=pair), chunk, maps)
            for case, found, row in zip(chunk, maps, measured, strict=True):
                own = None if case.mask is None else letterbox(case.mask, network_size, mask=True)[0]
                row["dice"], row["boundary"] = _agreement(found, own, n_structures)
                shuffled = previous if own is not None else None
                row["shuffled_dice"], row["shuffled_boundary"] = _agreement(found, shuffled, n_structures)
                rows.append(row)
                previous = own
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    arrays = {name: np.stack(values) for name, values in columns.items() if name not in ("ids", "patients")}
    return Measured(columns["ids"], columns["patients"], **arrays)


def _measure_image(case: Case, found: np.ndarray, *, size: int, n_structures: int, pair: Pair | None) -> dict:
    image, mask = at_size(case, size, found)
    inside = mask > 0
    canvas, box = letterbox(case.image, size)
    seen = canvas[field_of_view(canvas) & box.valid(size)]
    grey = image[inside] if inside.any() else np.array([np.nan])
    return {
        "ids": case.id,
        "patients": case.patient,
        "radiomics": radiomics_features(image, inside),
        "descriptors": neighbours.descriptor(letterbox(case.image, neighbours.SIZE)[0]),
        "shapes": shape_descriptors(mask, n_structures),
        "appearance": np.array([grey.mean(), grey.std(), *speckle(image, inside)]),
        "field": np.array([seen.mean(), seen.std()]),
        "imprint": imprints(image, mask, n_structures),
        "angle": np.float64(np.nan if pair is None or case.mask is None else pair.angle(case.mask)),
        "found_angle": np.float64(np.nan if pair is None else pair.angle(found)),
    }


def _agreement(found: np.ndarray, mask: np.ndarray | None, n_structures: int) -> tuple[np.ndarray, np.ndarray]:
    """Dice of each structure, and boundary distance as a share of the longer side; nan without a mask."""
    if mask is None:
        return np.full(n_structures, np.nan), np.full(n_structures, np.nan)
    dice, boundary = agreement(found, mask, n_structures)
    return dice, boundary / found.shape[-1]
