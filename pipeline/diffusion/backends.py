"""Generators of every kind behind one interface: trained on a pool, saved to a folder, opened from it, and asked to
``render`` images for mask draws.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from pipeline.config.diffusion import Diffusion
from pipeline.config.sample import Sample
from pipeline.data.structures import Structure, from_json
from pipeline.diffusion.conditioning import Condition
from pipeline.diffusion.masks import MaskDraw
from pipeline.diffusion.pixel.augmentation import N_CHANGES
from pipeline.diffusion.pixel.generator import MaskToImagePipeline, build_generator, load_generator
from pipeline.diffusion.pixel.preview import preview_sheet
from pipeline.diffusion.pixel.training import train_denoiser
from pipeline.diffusion.pool import Pool
from pipeline.diffusion.sector import outline
from pipeline.run.compute import check_precision
from pipeline.run.progress import Progress
from pipeline.run.resume import Scratch


class PixelBackend:
    """The mask-conditioned denoiser in pixel space.

    sectors: outlines of fields of view seen in training. makes_masks: whether ``render`` ignores the masks it is given.
    """

    makes_masks = False

    def __init__(self, pipeline: MaskToImagePipeline):
        self.pipeline = pipeline
        self.image_size = pipeline.config["image_size"]
        self.structures = from_json(pipeline.config["structures"])
        self.sectors = pipeline.config["sectors"]

    def save(self, folder: Path) -> None:
        self.pipeline.save_pretrained(folder)

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


class LatentBackend:
    """A pretrained Stable Diffusion, adapted. Of the sampler's parameters it takes ``steps`` and ``guidance``."""

    def __init__(self, generator):
        self.generator = generator
        self.makes_masks = generator.variant == "reference"
        self.image_size, self.structures, self.sectors = generator.image_size, generator.structures, generator.sectors

    def save(self, folder: Path) -> None:
        from pipeline.diffusion.latent.training import save_latent

        save_latent(self.generator, folder)

    def render(
        self, draws: Sequence[MaskDraw], noise_seeds: Sequence[int], params: Sample
    ) -> tuple[np.ndarray, list[np.ndarray | None]]:
        """As :meth:`PixelBackend.render`; the variant 'reference' returns the masks it drew itself."""
        masks = torch.from_numpy(np.stack([draw.mask for draw in draws]))
        sectors = torch.from_numpy(np.stack([draw.sector for draw in draws]))
        return self.generator.render(masks, sectors, noise_seeds, steps=params.steps, guidance=params.guidance)


def image_size(params: Diffusion) -> int:
    return params.latent.image_size if params.backend == "latent" else params.image_size


def train_steps(params: Diffusion) -> int:
    return params.latent.steps if params.backend == "latent" else params.steps


def train_backend(
    pool: Pool,
    structures: Sequence[Structure],
    params: Diffusion,
    seed: int,
    scratch: Scratch,
    device: torch.device,
    tick: Progress,
    validation: Pool | None = None,
) -> PixelBackend | LatentBackend:
    """Train the generator ``params`` asks for; see ``train_denoiser`` and ``train_latent`` for what they raise."""
    section, own = ("diffusion.latent", params.latent) if params.backend == "latent" else ("diffusion", params)
    check_precision(f"{section}.mixed_precision", own.mixed_precision, device)
    if params.backend == "latent":
        from pipeline.diffusion.latent.training import train_latent

        share = params.unlabelled_share
        return LatentBackend(
            train_latent(pool, structures, params.latent, seed, scratch, device, tick, unlabelled_share=share)
        )
    devices = sorted({device for device in pool.devices[: pool.labelled] if device}) if params.device else []
    augmentation = N_CHANGES if params.augment.conditioned else 0
    condition = Condition(len(structures), augmentation, params.pixel_size, tuple(devices))
    sectors = [outline(sector) for sector in pool.sectors[: pool.labelled].numpy()]

    def generator_of(unet) -> MaskToImagePipeline:
        return build_generator(unet, params, structures, pool.grey, condition, sectors)

    unet = train_denoiser(
        pool,
        condition,
        params,
        seed,
        scratch,
        device,
        tick,
        validation=validation,
        on_preview=lambda step, network: tick.image("preview.png", preview_sheet(generator_of(network), pool)),
    )
    return PixelBackend(generator_of(unet))


def open_generator(folder: Path, device) -> PixelBackend | LatentBackend:
    """The trained generator in ``folder``, whichever backend trained it.

    Raises:
        InputError: no generator there, or a damaged one.
    """
    if (folder / "latent.json").exists():
        from pipeline.diffusion.latent.generator import load_latent

        return LatentBackend(load_latent(folder, device))
    return PixelBackend(load_generator(folder, device))
