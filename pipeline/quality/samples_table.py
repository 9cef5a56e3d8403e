"""One row an image, synthetic and real unseen: what distributions and the most suspicious samples are shown from."""

import numpy as np

from pipeline.quality.imprint import imprinted
from pipeline.quality.measurement import APPEARANCE, Measured
from pipeline.quality.novelty import Novelty
from pipeline.quality.shapes import DESCRIPTORS


def rows(synthetic: Measured, unseen: Measured, reference: Measured, found: Novelty, shown: list[str]) -> list[dict]:
    """Columns set, id, obedience, boundary, nearest, distance, copy, imprint, imprinted, and shapes and appearance.

    obedience: Dice, mean over structures. boundary: % of the longer side. nearest: id of the closest image shown to the
    generator, at ``distance``. Shapes are those of the last structure (the head, where there are two), appearance that
    of the region of all structures; None where undefined.

    Args:
        shown: ids of the images that ``found`` counts neighbours among.
    """
    table = []
    for name, one, distance, places in (
        ("synthetic", synthetic, found.distance, found.nearest),
        ("unseen", unseen, found.unseen, found.nearest_unseen),
    ):
        rims = imprinted(one.imprint, reference.imprint)
        copies = distance < found.threshold
        for i, case_id in enumerate(one.ids):
            table.append(
                {
                    "set": name,
                    "id": case_id,
                    "obedience": float(one.dice[i].mean()),
                    "boundary": float(100 * one.boundary[i].mean()),
                    "nearest": shown[places[i]],
                    "distance": float(distance[i]),
                    "copy": bool(copies[i]),
                    "imprint": _known(one.imprint[i]),
                    "imprinted": bool(rims[i]),
                    **{key: _known(value) for key, value in zip(DESCRIPTORS, one.shapes[i, -1], strict=True)},
                    **{key: _known(value) for key, value in zip(APPEARANCE, one.appearance[i], strict=True)},
                }
            )
    return table


def _known(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
