"""Augmentation of a segmenter's batch: the standard one, and what the strong one has beyond it.

Standard: geometry on image and mask together, then grey levels. Strong: also noise, blur and lower resolution, as in
Isensee et al., "nnU-Net", Nature Methods 2021, supplementary note 4.
"""

import torch
from torch import Tensor
from torch.nn import functional

from pipeline.config.augmentation import Augment, StrongAugment
from pipeline.imaging.affine import random_affine


def augment(images: Tensor, masks: Tensor, params: Augment, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Every sample gets its own random transform.

    Args:
        images: float [B, 1, H, W] in [-1, 1].
        masks: integer [B, H, W].
        generator: a CPU generator; equal states give equal batches.
    """
    geometry = params.model_dump(include={"flip", "rotate_deg", "scale", "shift"})
    images, masks = random_affine(images, masks, generator, **geometry)
    return recolour(images, params, generator), masks


def recolour(images: Tensor, params: Augment, generator: torch.Generator) -> Tensor:
    """Random gamma, contrast and brightness of every image, float [B, 1, H, W] in [-1, 1]."""
    uniform = (torch.rand(len(images), 3, 1, 1, 1, generator=generator) * 2 - 1).to(images.device)
    grey = ((images + 1) / 2).clamp(0, 1) ** torch.exp(uniform[:, 0] * params.gamma)
    grey = grey * (1 + uniform[:, 1] * params.contrast)
    # Brightness lifts what is there; the black outside the sector stays black.
    grey = grey + uniform[:, 2] * params.brightness * (grey > 0.02)
    return grey.clamp(0, 1) * 2 - 1


def degrade(images: Tensor, params: StrongAugment, generator: torch.Generator) -> Tensor:
    """Blur, noise and lower resolution: each kind befalls a sample with ``params.probability``, by a random amount.

    Args:
        images: float [B, 1, H, W] in [-1, 1].
        generator: a CPU generator; equal states give equal batches.
    """
    count, shape = len(images), images.shape[-2:]
    hit = (torch.rand(3, count, generator=generator) < params.probability).to(images.device)
    amount = torch.rand(3, count, generator=generator).to(images.device)
    blurred = _blur(images, params.blur * amount[0])
    images = torch.where(hit[0, :, None, None, None], blurred, images)
    noise = torch.randn(images.shape, generator=generator).to(images.device)
    # The grey range is 2 wide; the black outside the sector stays black.
    noisy = images + 2 * params.noise * amount[1, :, None, None, None] * noise * (images > -0.96)
    images = torch.where(hit[1, :, None, None, None], noisy, images).clamp(-1, 1)
    coarse = [
        _coarse(image[None], [round(side * float(1 - share * (1 - params.low_resolution))) for side in shape])
        if low
        else image[None]
        for image, share, low in zip(images, amount[2], hit[2], strict=True)
    ]
    return torch.cat(coarse)


def _blur(images: Tensor, sigma: Tensor) -> Tensor:
    """Gaussian blur of every image with a standard deviation of its own, in pixels."""
    radius = max(1, int(3 * float(sigma.max()) + 0.5))
    offsets = torch.arange(-radius, radius + 1, device=images.device)
    kernel = torch.exp(-0.5 * (offsets / sigma[:, None].clamp(min=1e-3)) ** 2)
    kernel = kernel / kernel.sum(dim=1, keepdim=True)
    planes = functional.pad(images[:, 0][None], [radius] * 4, mode="reflect")
    count = len(images)
    planes = functional.conv2d(planes, kernel[:, None, :, None], groups=count)
    return functional.conv2d(planes, kernel[:, None, None, :], groups=count)[0][:, None]


def _coarse(image: Tensor, size: list[int]) -> Tensor:
    """Reduced to ``size``, height and width, by nearest neighbours, and enlarged again."""
    small = functional.interpolate(image, size=size, mode="nearest")
    return functional.interpolate(small, size=image.shape[-2:], mode="bilinear", align_corners=False)
