"""The training pool of an arm: its n real cases and what the arm adds to them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.core import seeds
from pipeline.core.case import Case
from pipeline.core.errors import InputError
from pipeline.core.geometry import Letterbox, stack_images, stack_masks
from pipeline.core.params import Arm, Warp
from pipeline.core.permute import derangement
from pipeline.core.warp import plausible_warp, warp


@dataclass(frozen=True)
class Pool:
    """images: float32 (N, 1, S, S) in [-1, 1]; masks: uint8 (N, S, S); the first ``real`` of them are real."""

    images: np.ndarray
    masks: np.ndarray
    real: int


def training_pool(
    name: str, arm: Arm, labels: Sequence[Case], synthetic: Sequence[Case], size: int, params: Warp, seed: int
) -> Pool:
    """Real cases first, then ``round(ratio * n)`` extra ones.

    Args:
        synthetic: the synthetic set the arm draws from, curated or not; unused by the other arms.

    Raises:
        InputError: the arm asks for more uncurated samples than there are.
    """
    images, masks = stack_images(labels, size), stack_masks(labels, size)
    count = round(arm.ratio * len(labels))
    if arm.extra != "none" and count == 0:
        raise InputError(f"arm '{name}': ratio {arm.ratio:g} of {len(labels)} labels is not one case; raise the ratio")
    if arm.extra == "synthetic":
        if count > len(synthetic) and not arm.curated:
            raise InputError(
                f"arm '{name}': ratio {arm.ratio:g} of {len(labels)} labels asks for {count} synthetic cases, there "
                f"are {len(synthetic)}; raise sample.count or lower the ratio"
            )
        # Curation leaves fewer than were sampled: what is left is used again.
        chosen = [synthetic[i % len(synthetic)] for i in range(count)]
        extra_images, extra_masks = stack_images(chosen, size), stack_masks(chosen, size)
        if arm.shuffled:
            extra_masks = extra_masks[derangement(count, seed, "shuffled arm")]
    elif arm.extra == "warped":
        extra_images, extra_masks = warped_copies(images, masks, labels, count, params, seed)
    else:
        return Pool(images, masks, len(labels))
    return Pool(np.concatenate([images, extra_images]), np.concatenate([masks, extra_masks]), len(labels))


def warped_copies(images, masks, labels, count: int, params: Warp, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """``count`` copies of real pairs through the warp that sampled masks go through: shape change, no diffusion."""
    size = images.shape[-1]
    new_images, new_masks = [], []
    for i in range(count):
        source = i % len(labels)
        valid = Letterbox.fit(labels[source].image.shape, size).valid(size)
        field = plausible_warp(masks[source], valid, params, seeds.numpy_generator(seed, "warped arm", i))
        # warp() fills with 0, which is black only for images in [0, 2].
        new_images.append(np.where(valid, warp(images[source, 0] + 1, field) - 1, -1))
        new_masks.append(np.where(valid, warp(masks[source], field, mask=True), 0))
    return np.stack(new_images)[:, None].astype(np.float32), np.stack(new_masks).astype(np.uint8)
