"""Extra cases made from the labelled ones without a generator: what diffusion has to beat.

All kinds go through the warp that sampled masks go through, so that they have the shape change of the synthetic arm.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from pipeline.arms.copy_paste import exchange
from pipeline.arms.example import Example, example, valid_area
from pipeline.arms.rendering import render
from pipeline.config.augmentation import Warp
from pipeline.data.case import Case
from pipeline.imaging.field_of_view import field_of_view
from pipeline.imaging.letterbox import to_uint8
from pipeline.imaging.warp import plausible_warp, warp
from pipeline.run import seeds

Pair = tuple[np.ndarray, np.ndarray]


def derived_examples(
    kind: str, labels: Sequence[Case], count: int, size: int, params: Warp, seed: int
) -> Iterator[Example]:
    """``count`` examples of a kind in :data:`KINDS`, each a function of (labels, seed, its number)."""
    for i in range(count):
        rng = seeds.numpy_generator(seed, f"{kind} arm", i)
        own = labels[i % len(labels)]
        frame, (image, mask) = KINDS[kind](own, labels, size, rng)
        valid = valid_area(frame, size)
        field = plausible_warp(mask, valid, params, rng)
        # warp() fills with 0, which is black only for images in [0, 2].
        moved = np.where(valid, warp(image[0] + 1, field) - 1, -1)[None].astype(np.float32)
        yield f"{kind}-{i}", moved, np.where(valid, warp(mask, field, mask=True), 0).astype(np.uint8)


def _itself(own: Case, labels: Sequence[Case], size: int, rng: np.random.Generator) -> tuple[Case, Pair]:
    return own, example(own, size)[1:]


def _pasted(own: Case, labels: Sequence[Case], size: int, rng: np.random.Generator) -> tuple[Case, Pair]:
    """The case's structures in the place of another one's."""
    other = _another(own, labels, rng)
    return other, exchange(example(own, size)[1:], example(other, size)[1:])


def _rendered(own: Case, labels: Sequence[Case], size: int, rng: np.random.Generator) -> tuple[Case, Pair]:
    """The case's mask and field of view, with grey values drawn after another one's."""
    _, own_image, mask = example(own, size)
    _, image, labels_there = example(_another(own, labels, rng), size)
    drawn = render(mask, image, labels_there, field_of_view(to_uint8(image[0])), rng)
    return own, (np.where(field_of_view(to_uint8(own_image[0])) | (mask > 0), drawn, -1).astype(np.float32), mask)


def _another(own: Case, labels: Sequence[Case], rng: np.random.Generator) -> Case:
    """A labelled case of another patient, or any where there is none."""
    others = [case for case in labels if case.patient != own.patient] or labels
    return others[int(rng.integers(len(others)))]


KINDS = {"warped": _itself, "copy_paste": _pasted, "rendered": _rendered}
