"""The trained generator as a diffusers pipeline: a folder that ``from_pretrained`` opens."""

from pathlib import Path

import torch
from diffusers import DiffusionPipeline, EDMDPMSolverMultistepScheduler, UNet2DModel
from torch import Tensor

from pipeline.core.errors import InputError
from pipeline.core.files import read_json
from pipeline.core.params import Diffusion
from pipeline.diffusion.conditioning import condition, without_mask
from pipeline.diffusion.denoiser import network


class MaskToImagePipeline(DiffusionPipeline):
    """Masks to images: DPM-Solver++ 2M (Lu et al. 2022) in the EDM formulation, guided by the mask (Ho & Salimans)."""

    def __init__(
        self,
        unet: UNet2DModel,
        scheduler: EDMDPMSolverMultistepScheduler,
        # With defaults, because diffusers takes an argument without one for a module.
        patch: int = 1,
        classes: tuple[str, ...] = ("background", "head"),
        image_size: int = 64,
        grey_mean: float = 0.0,
        grey_std: float = 1.0,
    ):
        super().__init__()
        self.register_modules(unet=unet, scheduler=scheduler)
        self.register_to_config(
            patch=patch, classes=list(classes), image_size=image_size, grey_mean=grey_mean, grey_std=grey_std
        )

    @property
    def n_structures(self) -> int:
        return len(self.config["classes"]) - 1

    @torch.inference_mode()
    def __call__(
        self,
        masks: Tensor,
        sectors: Tensor,
        noise: Tensor,
        *,
        steps: int,
        guidance: float,
        sigma_min: float,
        sigma_max: float,
    ) -> Tensor:
        """Generate one image per mask.

        Args:
            masks: integer [B, S, S], class indices.
            sectors: bool [B, S, S], the fields of view.
            noise: float [B, 1, S, S], standard normal; with mask, sector and weights it determines the image.
            steps: network calls per image (twice that when ``guidance`` is not 1).
            guidance: w in F_null + w (F_mask - F_null); 1 is the plain conditional model.

        Returns:
            float32 [B, 1, S, S] on the CPU, in [-1, 1].
        """
        scheduler = type(self.scheduler).from_config(self.scheduler.config, sigma_min=sigma_min, sigma_max=sigma_max)
        scheduler.set_timesteps(steps)
        planes = condition(masks, sectors, self.n_structures).to(self.device)
        null = without_mask(planes)
        sample = noise.to(self.device) * scheduler.init_noise_sigma
        for timestep in scheduler.timesteps:
            scaled = scheduler.scale_model_input(sample, timestep)
            c_noise = timestep.expand(len(masks)).to(self.device)
            output = network(self.unet, scaled, planes, c_noise, self.config["patch"])
            if guidance != 1:
                unguided = network(self.unet, scaled, null, c_noise, self.config["patch"])
                output = unguided + guidance * (output - unguided)
            sample = scheduler.step(output, timestep, sample).prev_sample
        grey = sample.float().cpu() / scheduler.config.sigma_data * self.config["grey_std"] + self.config["grey_mean"]
        return grey.clamp(-1, 1)


def build_generator(
    unet: UNet2DModel, params: Diffusion, classes: tuple[str, ...], grey_mean: float, grey_std: float
) -> MaskToImagePipeline:
    """A trained network with its sampler; ``grey_mean`` and ``grey_std`` undo the standardisation of its images."""
    scheduler = EDMDPMSolverMultistepScheduler(
        sigma_data=params.sigma_data, solver_order=2, final_sigmas_type="zero", prediction_type="epsilon"
    )
    return MaskToImagePipeline(
        unet, scheduler, params.patch, list(classes), params.image_size, grey_mean=grey_mean, grey_std=grey_std
    )


def load_generator(folder: Path, device) -> MaskToImagePipeline:
    """Open a trained generator.

    Raises:
        InputError: no generator there, or weights of another architecture.
    """
    index = folder / "model_index.json"
    if not index.exists():
        raise InputError(f"{folder}: no diffusion model there; run the stage train_diffusion, or `dvc pull`")
    config = read_json(index, "train it again")
    try:
        unet = UNet2DModel.from_pretrained(folder / "unet", low_cpu_mem_usage=False)
        scheduler = EDMDPMSolverMultistepScheduler.from_pretrained(folder / "scheduler")
        arguments = {key: config[key] for key in ("patch", "classes", "image_size", "grey_mean", "grey_std")}
        pipeline = MaskToImagePipeline(unet, scheduler, **arguments)
    except (OSError, KeyError, ValueError, RuntimeError) as error:
        raise InputError(
            f"{folder}: not a mask-to-image diffusion model ({' '.join(str(error).split())[:200]}); train it again"
        ) from None
    pipeline.unet.to(memory_format=torch.channels_last).eval()
    return pipeline.to(device)
