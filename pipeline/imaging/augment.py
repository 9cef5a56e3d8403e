"""Standard augmentation of a segmenter's batch: geometry on image and mask together, then grey levels."""

import torch
from torch import Tensor

from pipeline.config.augmentation import Augment
from pipeline.imaging.affine import random_affine


def augment(images: Tensor, masks: Tensor, params: Augment, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Every sample gets its own random transform.

    Args:
        images: float [B, 1, S, S] in [-1, 1].
        masks: integer [B, S, S].
        generator: a CPU generator; equal states give equal batches.
    """
    geometry = params.model_dump(include={"flip", "rotate_deg", "scale", "shift"})
    images, masks = random_affine(images, masks, generator, **geometry)
    uniform = (torch.rand(len(images), 3, 1, 1, 1, generator=generator) * 2 - 1).to(images.device)
    grey = ((images + 1) / 2).clamp(0, 1) ** torch.exp(uniform[:, 0] * params.gamma)
    grey = grey * (1 + uniform[:, 1] * params.contrast)
    # Brightness lifts what is there; the black outside the sector stays black.
    grey = grey + uniform[:, 2] * params.brightness * (grey > 0.02)
    return grey.clamp(0, 1) * 2 - 1, masks
