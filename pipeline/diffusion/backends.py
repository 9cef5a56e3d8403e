"""Generators of every kind behind one interface: saved to a folder, opened from it, and asked to ``render`` images for
mask draws.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from pipeline.config.sample import Sampler
from pipeline.data.structures import from_json
from pipeline.diffusion.masks import MaskDraw
from pipeline.diffusion.pixel.generator import MaskToImagePipeline, load_generator


class PixelBackend:
    """The mask-conditioned denoiser in pixel space.

    sectors: polygons of fields of view seen in training. makes_masks: whether ``render`` ignores the masks it is given.
    """

    makes_masks = False
    licence = "Apache-2.0; see the licence of the training data"

    def __init__(self, pipeline: MaskToImagePipeline):
        self.pipeline = pipeline
        self.image_size = pipeline.config["image_size"]
        self.structures = from_json(pipeline.config["structures"])
        self.sectors = pipeline.config["sectors"]

    def save(self, folder: Path) -> None:
        self.pipeline.save_pretrained(folder)

    def render(
        self, draws: Sequence[MaskDraw], noise_seeds: Sequence[int], params: Sampler
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
            output_type="np",
        ).images
        return images, masks


class LatentBackend:
    """A pretrained Stable Diffusion, adapted. Of the sampler's options it takes ``steps`` and ``guidance``."""

    licence = "that of the pretrained model; see the licence of the training data"

    def __init__(self, generator):
        self.generator = generator
        self.makes_masks = generator.variant == "reference"
        self.image_size, self.structures, self.sectors = generator.image_size, generator.structures, generator.sectors

    def save(self, folder: Path) -> None:
        self.generator.save(folder)

    def render(
        self, draws: Sequence[MaskDraw], noise_seeds: Sequence[int], params: Sampler
    ) -> tuple[np.ndarray, list[np.ndarray | None]]:
        """As :meth:`PixelBackend.render`; the variant 'reference' returns the masks it drew itself."""
        masks = torch.from_numpy(np.stack([draw.mask for draw in draws]))
        sectors = torch.from_numpy(np.stack([draw.sector for draw in draws]))
        return self.generator.render(masks, sectors, noise_seeds, steps=params.steps, guidance=params.guidance)


def open_generator(folder: Path, device) -> PixelBackend | LatentBackend:
    """The trained generator in ``folder``, whichever backend trained it.

    Raises:
        InputError: no generator there, or a damaged one.
    """
    if (folder / "latent.json").exists():
        from pipeline.diffusion.latent.generator import load_latent

        return LatentBackend(load_latent(folder, device))
    return PixelBackend(load_generator(folder, device))
