"""Generators of every kind behind one method: ``render`` turns mask draws into images and their masks."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from pipeline.core.params import Sample
from pipeline.diffusion.generator import MaskToImagePipeline, load_generator
from pipeline.diffusion.masks import MaskDraw


class PixelBackend:
    """The mask-conditioned denoiser in pixel space. ``sectors``: outlines of fields of view seen in training."""

    def __init__(self, pipeline: MaskToImagePipeline):
        self.pipeline = pipeline
        self.image_size = pipeline.config["image_size"]
        self.classes = tuple(pipeline.config["classes"])
        self.sectors = pipeline.config["sectors"]

    def render(
        self, draws: Sequence[MaskDraw], noise_seeds: Sequence[int], params: Sample
    ) -> tuple[np.ndarray, list[np.ndarray | None]]:
        """Images uint8 (B, S, S) and masks uint8 (S, S), None where an image shows no closed structure."""
        masks = [draw.mask for draw in draws]
        images = self.pipeline(
            torch.from_numpy(np.stack(masks)),
            torch.from_numpy(np.stack([draw.sector for draw in draws])),
            num_inference_steps=params.steps,
            guidance_scale=params.guidance,
            guidance_interval=params.guidance_interval,
            sampler=params.sampler,
            sigma_min=params.sigma_min,
            sigma_max=params.sigma_max,
            generator=[torch.Generator().manual_seed(seed) for seed in noise_seeds],
            pixel_mm=[draw.pixel_mm for draw in draws],
            devices=[draw.template.device if draw.template else None for draw in draws],
            output_type="np",
        ).images
        return images, masks


def open_generator(folder: Path, device) -> PixelBackend:
    """The trained generator in ``folder``, whichever backend trained it.

    Raises:
        InputError: no generator there, or a damaged one.
    """
    return PixelBackend(load_generator(folder, device))
