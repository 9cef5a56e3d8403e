"""Masks to sample images from: train masks with a plausible shape change, and draws from the shape model."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.core import seeds
from pipeline.core.case import Case
from pipeline.core.geometry import Letterbox, letterbox
from pipeline.core.params import Warp
from pipeline.core.warp import plausible_warp, warp
from pipeline.diffusion.shapes import fit_shape_model


@dataclass(frozen=True)
class MaskDraw:
    """A mask to sample from: uint8 (S, S), the canvas it lives in, and where it came from."""

    mask: np.ndarray
    box: Letterbox
    source: str
    template: Case
    transform: str


def draw_masks(
    labels: Sequence[Case], n_structures: int, size: int, count: int, shape_share: float, params: Warp, seed: int
) -> list[MaskDraw]:
    """``count`` masks; mask i is a function of (labels, parameters, seed, i) alone.

    Every 1/shape_share-th mask comes from the shape model, the others from the labels in turn. The canvas (aspect
    ratio, pixel size) is that of a label case.
    """
    boxed = [letterbox(case.mask, size, mask=True) for case in labels]
    model = fit_shape_model([mask for mask, _ in boxed], n_structures) if shape_share > 0 else None
    order = seeds.numpy_generator(seed, "template order").permutation(len(labels))
    draws = []
    for i in range(count):
        rng = seeds.numpy_generator(seed, "mask", i)
        # Each source takes the labels in turn by its own count, so that every label serves both.
        shapes_before = int(i * shape_share)
        from_shape_model = int((i + 1) * shape_share) > shapes_before
        template = int(order[(shapes_before if from_shape_model else i - shapes_before) % len(labels)])
        mask, box = boxed[template]
        valid = box.valid(size)
        if from_shape_model:
            sampled = model.sample(size, valid, rng)
            draws.append(
                MaskDraw(sampled, box, "shape_model", labels[template], json.dumps({"canvas": labels[template].id}))
            )
            continue
        field = plausible_warp(mask, valid, params, rng)
        warped = np.where(valid, warp(mask, field, mask=True), 0).astype(np.uint8)
        draws.append(MaskDraw(warped, box, "parent", labels[template], json.dumps({"warp": params.model_dump()})))
    return draws
