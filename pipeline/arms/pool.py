"""The training pool of an arm: real cases and what the arm adds to them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.arms.derived import KINDS, derived_examples
from pipeline.arms.example import Example, example
from pipeline.arms.permute import derangement
from pipeline.config.arms import Arm
from pipeline.config.augmentation import Warp
from pipeline.data.case import Case
from pipeline.run.errors import InputError


@dataclass(frozen=True)
class Pool:
    """Real cases first, then what the arm adds; pixels are made when they are asked for.

    labels: the arm's n labelled cases, of which the first ``real`` are trained on as they are.
    extra: cases the arm draws from, one after the other and again from the first.
    kind: what is derived from the labels instead, see arms/derived.py; None for none.
    mask_of: integer (N,), the number of the example whose mask an example is trained with: its own, but for shuffled
        arms.
    """

    labels: Sequence[Case]
    real: int
    extra: Sequence[Case]
    kind: str | None
    mask_of: np.ndarray
    size: int
    warp: Warp
    seed: int

    def __len__(self) -> int:
        return len(self.mask_of)

    @property
    def derived(self) -> int:
        """How many examples are made here, and stand in no dataset."""
        return len(self) - self.real if self.kind else 0

    def examples(self) -> Iterator[Example]:
        """Every example in order, with its own mask. Cases that are used again come again, under the same id."""
        for case in self.labels[: self.real]:
            yield example(case, self.size)
        for i in range(len(self) - self.real - self.derived):
            yield example(self.extra[i % len(self.extra)], self.size)
        yield from self.derived_examples()

    def derived_examples(self) -> Iterator[Example]:
        if self.kind:
            yield from derived_examples(self.kind, self.labels, self.derived, self.size, self.warp, self.seed)

    def stacked(self) -> tuple[np.ndarray, np.ndarray]:
        """Images float32 (N, 1, S, S) and the masks they are trained with, uint8 (N, S, S)."""
        _, images, masks = zip(*self.examples(), strict=True)
        return np.stack(images), np.stack(masks)[self.mask_of]


def training_pool(
    name: str, arm: Arm, labels: Sequence[Case], synthetic: Sequence[Case], size: int, params: Warp, seed: int
) -> Pool:
    """``round(real * n)`` of the n labels and ``round(ratio * n)`` extra cases.

    Args:
        synthetic: the synthetic set the arm draws from, curated or not; unused by the other arms.

    Raises:
        InputError: the arm asks for more uncurated samples than there are, or for less than one case.
    """
    real, count = round(arm.real * len(labels)), round(arm.ratio * len(labels))
    if arm.extra != "none" and count == 0:
        raise InputError(f"arm '{name}': ratio {arm.ratio:g} of {len(labels)} labels is not one case; raise the ratio")
    if arm.real and real == 0:
        raise InputError(f"arm '{name}': real {arm.real:g} of {len(labels)} labels is not one case; raise it, or say 0")
    # Curation leaves fewer than were sampled: what is left is used again.
    if arm.extra == "synthetic" and count > len(synthetic) and not arm.curated:
        raise InputError(
            f"arm '{name}': ratio {arm.ratio:g} of {len(labels)} labels asks for {count} synthetic cases, there "
            f"are {len(synthetic)}; raise sample.count or lower the ratio"
        )
    mask_of = np.arange(real + count)
    if arm.shuffled:
        mask_of[real:] = real + derangement(count, seed, "shuffled arm")
    extra = {"synthetic": synthetic, "repeated": labels}.get(arm.extra, ())
    return Pool(labels, real, extra, arm.extra if arm.extra in KINDS else None, mask_of, size, params, seed)
