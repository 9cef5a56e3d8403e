"""The trained generator as a diffusers pipeline: a folder that ``from_pretrained`` opens."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from diffusers import DiffusionPipeline, EDMDPMSolverMultistepScheduler, ImagePipelineOutput, UNet2DModel
from diffusers.utils import logging
from diffusers.utils.torch_utils import randn_tensor
from PIL import Image
from torch import Tensor

from pipeline.config.sample import DENOISER_ONLY, Sampler
from pipeline.data.structures import from_json
from pipeline.diffusion.appearance import AppearanceBank
from pipeline.diffusion.codes import linear, pixel, taef2, vae  # noqa: F401
from pipeline.diffusion.codes.code import SIGMA_DATA, Code
from pipeline.diffusion.conditioning import Condition
from pipeline.diffusion.denoiser.preconditioning import Preconditioning, denoise
from pipeline.diffusion.mask_draw import MaskDraw, stacked
from pipeline.diffusion.sector import choose_sectors, sector_bank
from pipeline.imaging.letterbox import to_uint8
from pipeline.run.errors import InputError, in_one_line
from pipeline.run.files import read_json

SOLVER = {"solver_order": 2, "algorithm_type": "dpmsolver++", "final_sigmas_type": "zero"}
"""DPM-Solver++ 2M, deterministic (Lu et al. 2022, arXiv 2211.01095)."""


class MaskToImagePipeline(DiffusionPipeline):
    """Masks to images, guided by the mask (Ho & Salimans, arXiv 2207.12598) at a range of noise levels.

    Guidance in an interval: Kynkäänniemi et al. 2024, arXiv 2404.07724. With ``torch_dtype`` or ``to(dtype)`` the
    network and the code compute in that precision, and the sampler in single precision as before.
    """

    makes_masks = False
    licence = "Apache-2.0; see the licence of the training data, and of the code's weights where it has any"

    def __init__(
        self,
        unet: UNet2DModel,
        scheduler: EDMDPMSolverMultistepScheduler,
        code: Code,
        # With defaults, because diffusers takes an argument without one for a module.
        prediction: str = "velocity",
        structures: list[dict] | None = None,
        image_size: int = 64,
        augmentation: int = 0,
        sectors: list | None = None,
        appearances: list | None = None,
    ):
        super().__init__()
        self.register_modules(unet=unet, scheduler=scheduler, code=code)
        self.register_to_config(prediction=prediction, image_size=image_size, augmentation=augmentation)
        self.register_to_config(structures=structures or [], sectors=sectors or [], appearances=appearances or [])
        self.image_size, self.structures, self.sectors = image_size, from_json(structures or []), sectors or []
        self.bank = AppearanceBank(torch.tensor(appearances)) if appearances else None
        numbers = augmentation + (len(appearances[0]) if appearances else 0)
        self.condition = Condition(len(self.structures), code.factor, numbers)
        self.set_progress_bar_config(disable=True)

    @property
    def cell(self) -> int:
        """Pixels along a cell of the code's grid."""
        return self.code.factor

    def save(self, folder: Path) -> None:
        self.save_pretrained(folder)

    def render(
        self, draws: Sequence[MaskDraw], noise_seeds: Sequence[int], params: Sampler
    ) -> tuple[np.ndarray, list[np.ndarray]]:
        """Images uint8 (B, S, S) of mask draws, each a function of draw, seed and batch size, and their masks."""
        images = self(
            *stacked(draws),
            num_inference_steps=params.steps,
            guidance_scale=params.guidance,
            **params.model_dump(include=set(DENOISER_ONLY)),
            generator=[torch.Generator().manual_seed(seed) for seed in noise_seeds],
            output_type="np",
        ).images
        return images, [draw.mask for draw in draws]

    @torch.inference_mode()
    def __call__(
        self,
        masks: Tensor,
        sectors: Tensor | None = None,
        appearances: Tensor | None = None,
        *,
        num_inference_steps: int = 14,
        guidance_scale: float = 1.5,
        guidance_interval: tuple[float, float] = (0.2, 3.0),
        sigma_min: float = 0.01,
        sigma_max: float = 40.0,
        generator: torch.Generator | list[torch.Generator] | None = None,
        output_type: str = "pil",
    ) -> ImagePipelineOutput:
        """Generate one image per mask.

        Args:
            masks: integer [B, S, S], class indices; S is the model's ``image_size``.
            sectors: bool [B, S, S], the fields of view; None takes for each mask one of the training sectors that
                holds it.
            appearances: float [B, 7], see ``appearance.NUMBERS``, in standard deviations of the training images; None
                draws them from the training images' joint distribution. Not of a model that is not told.
            num_inference_steps: network calls per image, plus one for each step within ``guidance_interval`` when
                ``guidance_scale`` is not 1.
            guidance_scale: w in D_null + w (D_mask - D_null); 1 is the plain conditional model.
            guidance_interval: lowest and highest noise level σ at which images are guided.
            generator: one, or one per image; on the CPU, so that every device draws the same noise. With mask, sector
                and weights it determines the image, in batches of one size.
            output_type: "pil"; "np", uint8 (B, S, S); or "pt", float32 [B, 1, S, S] in [-1, 1].

        Raises:
            InputError: masks of another size or with unknown classes; appearances for a model that is not told of them.
        """
        masks = torch.as_tensor(np.asarray(masks)) if not isinstance(masks, Tensor) else masks
        self._check(masks)
        rng = generator[0] if isinstance(generator, list) else generator
        if sectors is None:
            sectors = choose_sectors(masks, sector_bank(self.config["sectors"], self.image_size), rng)
        numbers = self.numbers(len(masks), appearances, generator)
        noise = {"sigma_min": sigma_min, "sigma_max": sigma_max, "sigma_data": SIGMA_DATA}
        scheduler = EDMDPMSolverMultistepScheduler(**noise, **SOLVER)
        scheduler.set_timesteps(num_inference_steps)
        edm = Preconditioning(self.code.sigma_data.to(self.device), self.config["prediction"])
        # What the scheduler takes every code for: it computes D from a network output, so it is given the F of our D.
        plain = Preconditioning(torch.full((1,), SIGMA_DATA))
        told = self.condition.channels(self.condition.planes(masks, sectors), numbers).to(self.device)
        null = self.condition.without_mask(told)
        shape = len(masks), self.code.channels, *told.shape[-2:]
        sample = randn_tensor(shape, generator=generator, device=self.device) * scheduler.init_noise_sigma
        low, high = guidance_interval
        for timestep, sigma in zip(self.progress_bar(scheduler.timesteps), scheduler.sigmas, strict=False):
            levels = sigma.expand(len(masks)).to(self.device)
            denoised = denoise(self.unet, sample, told, levels, edm)
            if guidance_scale != 1 and low <= float(sigma) <= high:
                blind = denoise(self.unet, sample, null, levels, edm)
                denoised = blind + guidance_scale * (denoised - blind)
            scheduler.scale_model_input(sample, timestep)
            output = (denoised - float(plain.c_skip(sigma)) * sample) / float(plain.c_out(sigma))
            sample = scheduler.step(output, timestep, sample, generator=generator).prev_sample
        images = torch.cat([self.code.decode(part.to(self.code.mean)) for part in sample.float().split(8)])
        grey = images.float().cpu().clamp(-1, 1)
        if output_type == "pt":
            return ImagePipelineOutput(images=grey)
        pixels = to_uint8(grey[:, 0].numpy())
        return ImagePipelineOutput(images=pixels if output_type == "np" else [Image.fromarray(one) for one in pixels])

    def numbers(self, count: int, appearances: Tensor | None, generator) -> Tensor:
        """float32 [count, N], what is told beside masks and sectors: no augmentation, and appearances as called."""
        none = torch.zeros(count, self.config["augmentation"])
        if self.bank is None:
            if appearances is not None:
                raise InputError("this model is not told of appearances; train it with diffusion.appearance: true")
            return none
        if appearances is None:
            each = generator if isinstance(generator, list) else [generator] * count
            appearances = torch.stack([self.bank.draw(one) for one in each])
        return torch.cat([none, appearances.float()], dim=1)

    def _check(self, masks: Tensor) -> None:
        size, n_structures = self.image_size, len(self.structures)
        if masks.ndim != 3 or masks.shape[1:] != (size, size):
            raise InputError(f"masks are {tuple(masks.shape)}; this model takes (count, {size}, {size})")
        if masks.is_floating_point() or int(masks.max()) > n_structures or int(masks.min()) < 0:
            raise InputError(f"masks must hold class indices 0 to {n_structures}, as integers")


def load_generator(folder: Path, device) -> MaskToImagePipeline:
    """Open a trained generator.

    Raises:
        InputError: no generator there, or weights of another architecture.
    """
    remedy = "run the stage train_diffusion again, or `dvc pull`"
    # It would draw a bar over the parts of a model.
    logging.disable_progress_bar()
    read_json(folder / "model_index.json", remedy)
    try:
        pipeline = MaskToImagePipeline.from_pretrained(
            folder, use_safetensors=True, low_cpu_mem_usage=False, local_files_only=True
        )
    except Exception as error:  # a folder can be damaged in many ways
        raise InputError(f"{folder}: not a mask-to-image diffusion model ({in_one_line(error)}); {remedy}") from None
    pipeline.unet.to(memory_format=torch.channels_last).eval()
    return pipeline.to(device)
