"""Extra cases made from the labelled ones without a generator: what diffusion has to beat.

Warped and copy-pasted cases go through the warp that sampled masks go through, and are held to the same, so that they
have the shape change of the synthetic arm.
"""

import json
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from pipeline.arms.copy_paste import exchange
from pipeline.config.augmentation import Warp
from pipeline.data.case import Case
from pipeline.data.stacking import stack_images, stack_masks
from pipeline.imaging.letterbox import Letterbox, to_uint8
from pipeline.imaging.warp import plausible_warp, warp
from pipeline.run import seeds

Size = int | tuple[int, int]
Pair = tuple[np.ndarray, np.ndarray]
"""Image float32 (1, H, W) in [-1, 1] and mask uint8 (H, W), letter-boxed."""

Acceptance = Callable[[np.ndarray, np.ndarray], Callable[[np.ndarray], bool]]
"""Mask before the warp and valid part of its canvas → is a warped mask acceptable?"""


def derived_cases(
    kind: str, labels: Sequence[Case], count: int, size: Size, params: Warp, seed: int, acceptance: Acceptance
) -> Iterator[Case]:
    """``count`` cases of a kind, each a function of (labels, seed, its number).

    Args:
        kind: a key of :data:`KINDS`.
        size: of the canvas that is filled: the edge of a square, or (height, width).
        acceptance: what is asked of sampled masks too, see :func:`pipeline.diffusion.pair_limits.keeps_pair`.
    """
    for i in range(count):
        own = labels[i % len(labels)]
        rng = seeds.numpy_generator(seed, f"{kind} arm", i)
        frame, (image, mask) = KINDS[kind](own, labels, size, rng)
        box = Letterbox.fit(frame.image.shape, size)
        valid = box.valid(size)
        field = plausible_warp(mask, valid, params, rng, acceptance(mask, valid))
        # warp() fills with 0, which is black only for images in [0, 2].
        moved = np.where(valid, warp(image[0] + 1, field) - 1, -1).astype(np.float32)
        labels_moved = np.where(valid, warp(mask, field, mask=True), 0).astype(np.uint8)
        yield Case(
            id=f"{kind}-{i:06d}",
            cohort=kind,
            patient=own.patient,
            split="train",
            image=box.crop(to_uint8(moved)),
            mask=box.crop(labels_moved),
            pixel_mm=None if frame.pixel_mm is None else frame.pixel_mm / box.scale,
            mask_source="parent",
            parent=own.id,
            transform=json.dumps({"kind": kind, "frame": frame.id}),
        )


def _pair(case: Case, size: Size) -> Pair:
    return stack_images([case], size)[0], stack_masks([case], size)[0]


def _itself(own: Case, labels: Sequence[Case], size: Size, rng: np.random.Generator) -> tuple[Case, Pair]:
    return own, _pair(own, size)


def _pasted(own: Case, labels: Sequence[Case], size: Size, rng: np.random.Generator) -> tuple[Case, Pair]:
    """The case's structures in the place of another one's."""
    other = _another(own, labels, rng)
    return other, exchange(_pair(own, size), _pair(other, size))


def _another(own: Case, labels: Sequence[Case], rng: np.random.Generator) -> Case:
    """A labelled case of another patient, or any where there is none."""
    others = [case for case in labels if case.patient != own.patient] or labels
    return others[int(rng.integers(len(others)))]


KINDS: dict[str, Callable[..., tuple[Case, Pair]]] = {
    "warped": _itself,
    "copy_paste": _pasted,
}
"""Kind → the case whose canvas is used, and the pair that is warped on it."""
