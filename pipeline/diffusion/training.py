"""Training the generator that the parameters ask for."""

from pathlib import Path

import torch
from diffusers import EDMDPMSolverMultistepScheduler, UNet2DModel

from pipeline.config.diffusion import Denoiser, Diffusion
from pipeline.data.structures import to_json
from pipeline.diffusion.codes.code import SIGMA_DATA
from pipeline.diffusion.denoiser.augmentation import N_CHANGES
from pipeline.diffusion.denoiser.generator import SOLVER, MaskToImagePipeline
from pipeline.diffusion.denoiser.objective import Denoising
from pipeline.diffusion.denoiser.preview import preview_sheet
from pipeline.diffusion.training_set import TrainingSet
from pipeline.diffusion.views import ViewSet, open_views
from pipeline.learning.loop import train
from pipeline.learning.recipe import Recipe, trapezoid
from pipeline.run.compute import check_compiler, check_precision
from pipeline.run.progress import Progress
from pipeline.run.resume import Scratch


def train_generator(
    data: TrainingSet,
    views: Path,
    params: Diffusion,
    seed: int,
    scratch: Scratch,
    device: torch.device,
    tick: Progress,
):
    """Train the generator (see ``backends``) that ``params`` ask for, for a fixed number of steps: nothing is selected.

    Args:
        views: folder of the encoded views; read by the backend 'denoiser' only.
        tick: gets every step's loss and, of the denoiser, previews.

    Raises:
        InputError: what :func:`pipeline.learning.loop.train` raises; a device that lacks what is asked of it; no views;
            no usable base model of the backend 'stable_diffusion', or too many structures for its variant 'reference'.
    """
    check_precision("diffusion.mixed_precision", params.mixed_precision, device)
    options = {"seed": seed, "device": device, "scratch": scratch, "on_step": tick}
    if params.backend == "stable_diffusion":
        from pipeline.diffusion.stable_diffusion.base import load_base
        from pipeline.diffusion.stable_diffusion.objective import StableDiffusionTuning

        objective = StableDiffusionTuning(data, load_base(Path(params.weights), device), params, seed)
        recipe = Recipe.of(params, "diffusion", weight_decay=1e-2, schedule=trapezoid, fused=False)
        train(objective, recipe, **options)
        return objective.generator()

    if params.compile:
        check_compiler("diffusion.compile", device)
    encoded = open_views(views)

    def generator(unet):
        return build_generator(unet, encoded, params, data)

    def preview(step: int, unet) -> None:
        tick.image("preview.png", preview_sheet(generator(unet), data))

    recipe = Recipe.of(params, "diffusion", weight_decay=1e-4, schedule=trapezoid, fused=False)
    return generator(train(Denoising(data, encoded, params, seed), recipe, on_preview=preview, **options))


def build_generator(unet: UNet2DModel, views: ViewSet, params: Denoiser, data: TrainingSet) -> MaskToImagePipeline:
    """A network trained on views of ``data``, with its code and sampler."""
    return MaskToImagePipeline(
        unet,
        EDMDPMSolverMultistepScheduler(sigma_data=SIGMA_DATA, prediction_type="epsilon", **SOLVER),
        views.code,
        prediction=params.prediction,
        structures=to_json(data.structures),
        image_size=data.image_size,
        augmentation=N_CHANGES if views.conditioned else 0,
        sectors=data.polygons(),
        appearances=[[round(value, 5) for value in row] for row in views.bank.tolist()] if params.appearance else None,
    )
