"""Augmentation conditioning: the denoiser is told what was done to an image, and sampling asks for nothing done.

After Karras et al. 2022 (arXiv 2206.00364), section 5 and appendix F.2. Left-right flips are not told: a mirrored
head is as real as the original, and both should be sampled.
"""

import torch
from torch import Tensor

from pipeline.config.views import ViewAugment
from pipeline.imaging.affine import affine_matrix, apply_affine

N_CHANGES = 8
"""Length of the vector: rotation, log-scale, log-aspect, two shifts, brightness, contrast, log-gamma."""


def draw_changes(count: int, params: ViewAugment, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """What is to be done to each sample, in shares of the limits.

    Returns:
        float [count, N_CHANGES] in [-1, 1], 0 where a kind of change is not applied (each is, with ``probability``,
        the two shifts together), and bool [count], the left-right flips.
    """
    amounts = torch.rand(count, N_CHANGES, generator=generator) * 2 - 1
    # One column a kind: the shifts are one kind.
    applied = torch.rand(count, N_CHANGES - 1, generator=generator) < params.probability
    applied = applied[:, [0, 1, 2, 3, 3, 4, 5, 6]]
    limits = torch.tensor(_limits(params))
    flips = (torch.rand(count, generator=generator) < 0.5) & params.flip
    return amounts * applied * (limits > 0), flips


def apply_changes(
    images: Tensor, labels: Tensor, changes: Tensor, flips: Tensor, params: ViewAugment
) -> tuple[Tensor, Tensor]:
    """The changed images [B, 1, S, S] in [-1, 1] and label images [B, S, S]."""
    rotate, scale, aspect, y, x, brightness, contrast, gamma = (changes * torch.tensor(_limits(params))).unbind(dim=1)
    theta = affine_matrix(torch.deg2rad(rotate), scale, aspect, torch.stack([x, y], dim=1), flips)
    images, labels = apply_affine(images, labels, theta)
    grey = ((images + 1) / 2).clamp(0, 1)
    column = (slice(None), None, None, None)
    grey = grey ** torch.exp(gamma)[column] * (1 + contrast)[column]
    # Brightness lifts what is there; the black outside the sector stays black.
    grey = grey + brightness[column] * (grey > 0.02)
    return grey.clamp(0, 1) * 2 - 1, labels


def _limits(params: ViewAugment) -> list[float]:
    geometry = [params.rotate_deg, params.scale, params.aspect, params.shift, params.shift]
    return [*geometry, params.brightness, params.contrast, params.gamma]
