"""The training pool of an arm: its n real cases and what the arm adds to them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.core import seeds
from pipeline.core.case import Case
from pipeline.core.errors import InputError
from pipeline.core.geometry import Letterbox, stack_images, stack_masks
from pipeline.core.params import Arm, Warp
from pipeline.core.permute import derangement
from pipeline.core.warp import plausible_warp, warp

Example = tuple[str, np.ndarray, np.ndarray]
"""Id, float32 image (1, S, S) in [-1, 1], uint8 mask (S, S)."""


@dataclass(frozen=True)
class Pool:
    """Real cases first, then what the arm adds; pixels are made when they are asked for.

    mask_of: integer (N,), the number of the example whose mask an example is trained with: its own, but for shuffled
        arms.
    """

    labels: Sequence[Case]
    extra: Sequence[Case]
    warped: int
    mask_of: np.ndarray
    size: int
    warp: Warp
    seed: int

    def __len__(self) -> int:
        return len(self.mask_of)

    @property
    def real(self) -> int:
        return len(self.labels)

    def examples(self) -> Iterator[Example]:
        """Every example in order, with its own mask. Samples that are used again come again, under the same id."""
        for case in self.labels:
            yield _example(case, self.size)
        for i in range(len(self) - self.real - self.warped):
            yield _example(self.extra[i % len(self.extra)], self.size)
        yield from self.warped_examples()

    def warped_examples(self) -> Iterator[Example]:
        """Copies of real pairs through the warp that sampled masks go through: shape change, no diffusion."""
        for i in range(self.warped):
            source = self.labels[i % len(self.labels)]
            _, image, mask = _example(source, self.size)
            valid = Letterbox.fit(source.image.shape, self.size).valid(self.size)
            field = plausible_warp(mask, valid, self.warp, seeds.numpy_generator(self.seed, "warped arm", i))
            # warp() fills with 0, which is black only for images in [0, 2].
            moved = np.where(valid, warp(image[0] + 1, field) - 1, -1)[None].astype(np.float32)
            yield f"warped-{i}", moved, np.where(valid, warp(mask, field, mask=True), 0).astype(np.uint8)

    def stacked(self) -> tuple[np.ndarray, np.ndarray]:
        """Images float32 (N, 1, S, S) and the masks they are trained with, uint8 (N, S, S)."""
        _, images, masks = zip(*self.examples(), strict=True)
        return np.stack(images), np.stack(masks)[self.mask_of]


def training_pool(
    name: str, arm: Arm, labels: Sequence[Case], synthetic: Sequence[Case], size: int, params: Warp, seed: int
) -> Pool:
    """The n labels and ``round(ratio * n)`` extra cases.

    Args:
        synthetic: the synthetic set the arm draws from, curated or not; unused by the other arms.

    Raises:
        InputError: the arm asks for more uncurated samples than there are.
    """
    count = round(arm.ratio * len(labels))
    if arm.extra != "none" and count == 0:
        raise InputError(f"arm '{name}': ratio {arm.ratio:g} of {len(labels)} labels is not one case; raise the ratio")
    # Curation leaves fewer than were sampled: what is left is used again.
    if arm.extra == "synthetic" and count > len(synthetic) and not arm.curated:
        raise InputError(
            f"arm '{name}': ratio {arm.ratio:g} of {len(labels)} labels asks for {count} synthetic cases, there "
            f"are {len(synthetic)}; raise sample.count or lower the ratio"
        )
    mask_of = np.arange(len(labels) + count)
    if arm.shuffled:
        mask_of[len(labels) :] = len(labels) + derangement(count, seed, "shuffled arm")
    extra = synthetic if arm.extra == "synthetic" else ()
    return Pool(labels, extra, count if arm.extra == "warped" else 0, mask_of, size, params, seed)


def _example(case: Case, size: int) -> Example:
    return case.id, stack_images([case], size)[0], stack_masks([case], size)[0]
