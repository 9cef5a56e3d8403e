"""Training the generator that the parameters ask for."""

from pathlib import Path

import torch

from pipeline.config.diffusion import Diffusion
from pipeline.diffusion.pixel.generator import build_generator
from pipeline.diffusion.pixel.objective import Denoising
from pipeline.diffusion.pixel.preview import preview_sheet
from pipeline.diffusion.training_set import TrainingSet
from pipeline.learning.loop import train
from pipeline.learning.recipe import Recipe, trapezoid
from pipeline.run.compute import check_compiler, check_precision
from pipeline.run.progress import Progress
from pipeline.run.resume import Scratch


def train_generator(
    data: TrainingSet, params: Diffusion, seed: int, scratch: Scratch, device: torch.device, tick: Progress
):
    """Train the generator (see ``backends``) that ``params`` ask for, for a fixed number of steps: nothing is selected.

    Args:
        data: at ``params.image_size``.
        tick: gets every step's loss and, of the denoiser, previews.

    Raises:
        InputError: what :func:`pipeline.learning.loop.train` raises; a device that lacks what is asked of it; no usable
            base model of the backend 'latent', or too many structures for its variant 'reference'.
    """
    check_precision("diffusion.mixed_precision", params.mixed_precision, device)
    options = {"seed": seed, "device": device, "scratch": scratch, "on_step": tick}
    if params.backend == "latent":
        from pipeline.diffusion.latent.base import load_base
        from pipeline.diffusion.latent.objective import LatentDenoising

        objective = LatentDenoising(data, load_base(Path(params.weights), device), params, seed)
        recipe = Recipe.of(params, "diffusion", weight_decay=1e-2, schedule=trapezoid, fused=False)
        train(objective, recipe, **options)
        return objective.generator()

    if params.compile:
        check_compiler("diffusion.compile", device)

    def preview(step: int, unet) -> None:
        tick.image("preview.png", preview_sheet(build_generator(unet, params, data), data))

    recipe = Recipe.of(params, "diffusion", weight_decay=1e-4, schedule=trapezoid, fused=False)
    unet = train(Denoising(data, params, seed), recipe, on_preview=preview, **options)
    return build_generator(unet, params, data)
