"""Masks to sample images from: train masks with a plausible shape change, and draws from the shape model."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.core import seeds
from pipeline.core.case import Case
from pipeline.core.geometry import Letterbox, letterbox
from pipeline.core.params import Warp
from pipeline.core.warp import warp, warp_field
from pipeline.diffusion.shapes import fit_shape_model

MIN_KEPT = 0.5
"""A warp may push at most this share of a structure off the canvas; otherwise it is drawn again."""


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
        template = int(order[i % len(labels)])
        mask, box = boxed[template]
        valid = box.valid(size)
        if model is not None and int((i + 1) * shape_share) > int(i * shape_share):
            sampled = model.sample(size, valid, rng)
            draws.append(
                MaskDraw(sampled, box, "shape_model", labels[template], json.dumps({"canvas": labels[template].id}))
            )
            continue
        warped, attempt = warp_mask(mask, valid, params, rng)
        draws.append(MaskDraw(warped, box, "parent", labels[template], json.dumps({"warp": {"attempt": attempt}})))
    return draws


def warp_mask(mask: np.ndarray, valid: np.ndarray, params: Warp, rng: np.random.Generator) -> tuple[np.ndarray, int]:
    """A warped copy that keeps its structures on the canvas, and how many draws it took (0-based)."""
    classes = np.unique(mask[mask > 0])
    for attempt in range(20):
        warped = np.where(valid, warp(mask, warp_field(len(mask), params, rng), mask=True), 0).astype(np.uint8)
        if all((warped == k).sum() >= MIN_KEPT * (mask == k).sum() for k in classes):
            return warped, attempt
    return mask.copy(), 20
