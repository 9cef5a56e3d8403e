"""One row an image, synthetic and real unseen: what distributions and the most suspicious samples are shown from."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from pipeline.data.tables import read_table
from pipeline.quality.imprint import imprinted
from pipeline.quality.mask_shapes import DESCRIPTORS
from pipeline.quality.measurement import APPEARANCE, Measured
from pipeline.quality.training_distance import TrainingDistance
from pipeline.run.errors import InputError

NUMBERS = {
    "mask_agreement": "mask agreement, Dice",
    "distance": "distance to the nearest image shown",
    "imprint": "contour imprint",
    "area": "area of the mask, share of the image",
    "aspect": "aspect ratio of the mask",
    "grey_mean": "mean grey level inside the mask",
    "grey_std": "contrast inside the mask, grey levels",
    "snr": "speckle SNR",
    "axial_px": "axial speckle length, px",
    "lateral_px": "lateral speckle length, px",
}
"""Columns whose distributions are shown, and what they are called."""
REQUIRED = ("mask_agreement", "distance")
STEPS = np.arange(0, 101, 2)


def rows(
    synthetic: Measured, unseen: Measured, reference: Measured, found: TrainingDistance, shown: Sequence[str]
) -> list[dict]:
    """Columns set, id, mask_agreement, boundary, nearest, distance, copy, imprint, imprinted, and shapes and appearance.

    mask_agreement: Dice, mean over structures. boundary: % of the longer side. nearest: id of the closest image shown
    to the generator, at ``distance``. Shapes are those of the last structure (the head, where there are two),
    appearance that of the region of all structures; None where undefined.

    Args:
        shown: ids of the images that ``found`` counts neighbours among.
    """
    table = []
    for name, measured, distance, nearest in (
        ("synthetic", synthetic, found.distance, found.nearest),
        ("unseen", unseen, found.unseen, found.nearest_unseen),
    ):
        rims = imprinted(measured.imprint, reference.imprint)
        for i, case_id in enumerate(measured.ids):
            numbers = dict(zip(DESCRIPTORS, measured.shapes[i, -1], strict=True))
            numbers |= dict(zip(APPEARANCE, measured.appearance[i], strict=True))
            table.append(
                {
                    "set": name,
                    "id": case_id,
                    "mask_agreement": float(measured.dice[i].mean()),
                    "boundary": float(100 * measured.boundary[i].mean()),
                    "nearest": shown[nearest[i]],
                    "distance": float(distance[i]),
                    "copy": bool(distance[i] < found.threshold),
                    "imprint": _known(measured.imprint[i]),
                    "imprinted": bool(rims[i]),
                    **{key: _known(value) for key, value in numbers.items()},
                }
            )
    return table


def _known(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def read_samples(path: Path) -> list[dict]:
    """The rows of a file of :func:`rows`, numbers as float or None.

    Raises:
        InputError: no synthetic row, a missing column, or a field that is not a number, with its row.
    """
    remedy = "run `dvc repro score`"
    table = read_table(path)
    if not any(row.get("set") == "synthetic" for row in table):
        raise InputError(f"{path}: holds no row of set 'synthetic'; {remedy}")
    if missing := [name for name in ("id", "nearest", "copy", "imprinted", *NUMBERS) if name not in table[0]]:
        raise InputError(f"{path}: column '{missing[0]}' is missing; {remedy}")
    for row in table:
        for name in NUMBERS:
            optional = row["set"] != "synthetic" or name not in REQUIRED
            try:
                row[name] = None if optional and row[name] == "" else float(row[name])
            except (TypeError, ValueError):
                raise InputError(
                    f"{path}: case '{row['id']}': {name} is '{row[name]}', not a number; {remedy}"
                ) from None
        row |= {name: row[name] == "True" for name in ("copy", "imprinted")}
    return table


def known_pairs(table: Sequence[Mapping]) -> dict[str, dict[str, np.ndarray]]:
    """Column → its known values in the sets ``synthetic`` and ``unseen``, where both have some."""
    found = {
        column: {
            which: np.array([row[column] for row in table if row["set"] == which and row[column] is not None])
            for which in ("synthetic", "unseen")
        }
        for column in NUMBERS
    }
    return {column: pair for column, pair in found.items() if all(map(len, pair.values()))}


def percentile_tables(table: Sequence[Mapping]) -> dict[str, list[dict[str, float]]]:
    """Column → rows percentile, synthetic, unseen."""
    tables = {}
    for column, pair in known_pairs(table).items():
        curves = {which: np.percentile(values, STEPS) for which, values in pair.items()}
        tables[column] = [
            {"percentile": float(step), **{which: float(curve[i]) for which, curve in curves.items()}}
            for i, step in enumerate(STEPS)
        ]
    return tables
