"""The adapted Stable Diffusion as generator: sampled in latent space, saved as a diffusers folder.

Two variants. ``controlnet``: the mask is a condition, as in the pixel backend; a ControlNet (Zhang et al. 2023, arXiv
2302.05543) sees the condition planes. ``reference``: the method of arXiv 2506.23664; image and mask contour are one RGB
image made from a text prompt alone, and the mask is decoded from it (see contours.py).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from diffusers import (
    ControlNetModel,
    DPMSolverMultistepScheduler,
    StableDiffusionControlNetPipeline,
    StableDiffusionPipeline,
)
from safetensors.torch import load_file
from torch import Tensor

from pipeline.config.sample import Sampler
from pipeline.data.structures import Structure, from_json, to_json
from pipeline.diffusion.conditioning import Condition
from pipeline.diffusion.mask_draw import MaskDraw, stacked
from pipeline.diffusion.stable_diffusion.base import LATENT_SCALE, Base, load_base
from pipeline.diffusion.stable_diffusion.contours import decode_contours
from pipeline.imaging.letterbox import to_uint8
from pipeline.networks.diffusers_folder import UNREADABLE, load_network
from pipeline.run.errors import InputError, in_one_line
from pipeline.run.files import read_json, write_json

LORA_FILE = "lora/pytorch_lora_weights.safetensors"
_AGAIN = "run the stage train_diffusion again, or `dvc pull`"


@dataclass(frozen=True, eq=False)
class StableDiffusionGenerator:
    """A trained generator, LoRA fused into the U-Net.

    Attributes:
        controlnet: None in the variant 'reference'.
        lora: the fused LoRA weights under diffusers' names, for those who want them alone.
        sectors: polygons of fields of view seen in training, see ``sector.sector_polygon``.
    """

    base: Base
    controlnet: ControlNetModel | None
    lora: dict[str, Tensor]
    structures: tuple[Structure, ...]
    image_size: int
    prompt: str
    sectors: Sequence = ()

    cell = LATENT_SCALE
    licence = "that of the pretrained model; see the licence of the training data"

    @property
    def makes_masks(self) -> bool:
        return self.controlnet is None

    @property
    def variant(self) -> str:
        return "reference" if self.makes_masks else "controlnet"

    def save(self, folder: Path) -> None:
        """Write a StableDiffusion(ControlNet)Pipeline folder, all safetensors, with stable_diffusion.json beside it.

        The U-Net there has the LoRA fused in; ``lora/`` holds it alone, for the base model only.
        """
        parts = vars(self.base) | {
            "scheduler": DPMSolverMultistepScheduler.from_config(self.base.scheduler.config),
            "safety_checker": None,
            "feature_extractor": None,
            "requires_safety_checker": False,
        }
        kind = StableDiffusionPipeline
        if self.controlnet is not None:
            kind, parts = StableDiffusionControlNetPipeline, parts | {"controlnet": self.controlnet}
        kind(**parts).save_pretrained(folder, safe_serialization=True)
        target = folder / LORA_FILE
        StableDiffusionPipeline.save_lora_weights(target.parent, unet_lora_layers=self.lora, weight_name=target.name)
        about = {"variant": self.variant, "structures": to_json(self.structures), "image_size": self.image_size}
        write_json(folder / "stable_diffusion.json", {**about, "prompt": self.prompt, "sectors": self.sectors})

    @torch.inference_mode()
    def render(
        self, draws: Sequence[MaskDraw], noise_seeds: Sequence[int], params: Sampler
    ) -> tuple[np.ndarray, list[np.ndarray | None]]:
        """Generate one image per mask with DPM-Solver++ 2M (Lu et al. 2022), which adds no noise of its own.

        Args:
            draws: masks and fields of view; the variant 'reference' makes its own and ignores them.
            noise_seeds: one per image; its noise is a function of it alone.
            params: ``steps``, network calls per image (twice that when ``guidance`` is not 1), and ``guidance``, w in
                F_null + w (F_told - F_null), on the mask; on the prompt in the variant 'reference', which has nothing
                else to be told.

        Returns:
            uint8 (B, S, S) images, and a uint8 (S, S) mask for each; None where 'reference' drew no closed contour.
        """
        n_structures, unet, guidance = len(self.structures), self.base.unet, params.guidance
        told = null = (None, self.base.embed(self.prompt))
        if self.controlnet is not None:
            condition = Condition(n_structures)
            planes = condition.planes(*stacked(draws)).to(unet.device)
            told, null = (planes, told[1]), (condition.without_mask(planes), told[1])
        elif guidance != 1:
            null = (None, self.base.embed(""))
        scheduler = DPMSolverMultistepScheduler.from_config(self.base.scheduler.config)
        scheduler.set_timesteps(params.steps)
        shape = unet.config.in_channels, self.image_size // LATENT_SCALE, self.image_size // LATENT_SCALE
        # Drawn on the CPU, so that every device sees the same.
        noise = [torch.randn(shape, generator=torch.Generator().manual_seed(seed)) for seed in noise_seeds]
        sample = torch.stack(noise).to(unet.device)
        for timestep in scheduler.timesteps:
            times = timestep.expand(len(sample)).to(unet.device)
            output = predict(unet, self.controlnet, sample, times, *told)
            if guidance != 1:
                unguided = predict(unet, self.controlnet, sample, times, *null)
                output = unguided + guidance * (output - unguided)
            sample = scheduler.step(output, timestep, sample).prev_sample
        pixels = self._decode(sample)
        if self.controlnet is not None:
            return to_uint8(pixels.mean(axis=1)), [draw.mask for draw in draws]
        joint = to_uint8(pixels).transpose(0, 2, 3, 1)
        grey, decoded = zip(*(decode_contours(image, n_structures) for image in joint), strict=True)
        return np.stack(grey), list(decoded)

    def _decode(self, latents: Tensor) -> np.ndarray:
        """float32 (B, 3, S, S) in about [-1, 1]."""
        vae = self.base.vae
        # One at a time: the decoder takes far more memory per image than the U-Net.
        images = [vae.decode(latent[None] / vae.config.scaling_factor).sample.cpu() for latent in latents]
        return torch.cat(images).numpy()


def predict(unet, controlnet, latents: Tensor, times: Tensor, planes: Tensor | None, text: Tensor) -> Tensor:
    """What the scheduler's ``prediction_type`` names (noise or velocity).

    Args:
        latents: float [B, C, s, s], noisy.
        times: integer [B].
        planes: float [B, P, 8 s, 8 s]; read with a ControlNet only.
        text: float [1, L, D].
    """
    text, residuals = text.expand(len(latents), -1, -1), {}
    if controlnet is not None:
        down, middle = controlnet(latents, times, encoder_hidden_states=text, controlnet_cond=planes, return_dict=False)
        residuals = {"down_block_additional_residuals": down, "mid_block_additional_residual": middle}
    return unet(latents, times, encoder_hidden_states=text, **residuals).sample


def load_stable_diffusion(folder: Path, device) -> StableDiffusionGenerator:
    """Open a generator that ``StableDiffusionGenerator.save`` wrote.

    Raises:
        InputError: no generator there, or a damaged one.
    """
    config = read_json(folder / "stable_diffusion.json", _AGAIN)
    try:
        conditioned = {"controlnet": True, "reference": False}[config["variant"]]
        structures, size, prompt = from_json(config["structures"]), int(config["image_size"]), str(config["prompt"])
        sectors = config["sectors"]
        lora = load_file(folder / LORA_FILE)
    except UNREADABLE as error:
        raise InputError(f"{folder}: a damaged latent diffusion model ({in_one_line(error)}); {_AGAIN}") from None
    kind = StableDiffusionControlNetPipeline if conditioned else StableDiffusionPipeline
    base = load_base(folder, device, kind.__name__, _AGAIN)
    controlnet = load_network(folder / "controlnet", ControlNetModel, _AGAIN).to(device) if conditioned else None
    return StableDiffusionGenerator(base, controlnet, lora, structures, size, prompt, sectors)
