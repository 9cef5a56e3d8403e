"""A pretrained Stable Diffusion as generator: opened from a diffusers folder, sampled in latent space.

Two variants. ``controlnet``: the mask is a condition, as in the pixel backend; a ControlNet (Zhang et al. 2023, arXiv
2302.05543) sees the condition planes. ``reference``: the method of arXiv 2506.23664; image and mask contour are one RGB
image made from a text prompt alone, and the mask is decoded from it (see contours.py).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL, ControlNetModel, DDPMScheduler, DPMSolverMultistepScheduler, UNet2DConditionModel
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor
from transformers import CLIPTextModel, CLIPTokenizer

from pipeline.data.structures import Structure, from_json
from pipeline.diffusion.conditioning import Condition
from pipeline.diffusion.latent.contours import decode_contours
from pipeline.imaging.letterbox import to_uint8
from pipeline.run.errors import InputError
from pipeline.run.files import read_json

LATENT_SCALE = 8
"""Pixels per latent, of every Stable Diffusion VAE and of the ControlNet's condition embedding."""
LORA_FILE = "lora/pytorch_lora_weights.safetensors"
_TAKE_ANOTHER = "take a Stable Diffusion 1.x or 2.x text-to-image model, with all its files"
_AGAIN = "train it again, or `dvc pull`"
_UNREADABLE = (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError)


@dataclass(frozen=True, eq=False)
class Base:
    """The parts of a Stable Diffusion model, frozen, in float32; ``scheduler`` is the one its training assumes."""

    vae: AutoencoderKL
    unet: UNet2DConditionModel
    text_encoder: CLIPTextModel
    tokenizer: CLIPTokenizer
    scheduler: DDPMScheduler

    def embed(self, prompt: str) -> Tensor:
        """float [1, L, D], the text condition of a prompt; words beyond the encoder's length are cut off."""
        tokens = self.tokenizer(
            prompt,
            padding="max_length",
            max_length=self.text_encoder.config.max_position_embeddings,
            truncation=True,
            return_tensors="pt",
        )
        with torch.no_grad():
            return self.text_encoder(tokens.input_ids.to(self.text_encoder.device))[0]


@dataclass(frozen=True, eq=False)
class LatentGenerator:
    """A trained generator, LoRA fused into the U-Net.

    Attributes:
        controlnet: None in the variant 'reference'.
        lora: the fused LoRA weights under diffusers' names, for those who want them alone.
        sectors: outlines of fields of view seen in training, see ``sector.outline``.
    """

    base: Base
    controlnet: ControlNetModel | None
    lora: dict[str, Tensor]
    structures: tuple[Structure, ...]
    image_size: int
    prompt: str
    sectors: Sequence = ()

    @property
    def variant(self) -> str:
        return "reference" if self.controlnet is None else "controlnet"

    @torch.inference_mode()
    def render(
        self, masks: Tensor, sectors: Tensor, noise_seeds: Sequence[int], *, steps: int, guidance: float
    ) -> tuple[np.ndarray, list[np.ndarray | None]]:
        """Generate one image per mask with DPM-Solver++ 2M (Lu et al. 2022), which adds no noise of its own.

        Args:
            masks: uint8 [B, S, S], class indices; the variant 'reference' makes its own and ignores them.
            sectors: bool [B, S, S], the fields of view; ignored likewise.
            noise_seeds: one per image; its noise is a function of it alone.
            steps: network calls per image (twice that when ``guidance`` is not 1).
            guidance: w in F_null + w (F_told - F_null), on the mask; on the prompt in the variant 'reference', which
                has nothing else to be told.

        Returns:
            uint8 (B, S, S) images, and a uint8 (S, S) mask for each; None where 'reference' drew no closed contour.
        """
        n_structures, unet = len(self.structures), self.base.unet
        told = null = (None, self.base.embed(self.prompt))
        if self.controlnet is not None:
            condition = Condition(n_structures)
            planes = condition.planes(masks, sectors).to(unet.device)
            told, null = (planes, told[1]), (condition.without_mask(planes), told[1])
        elif guidance != 1:
            null = (None, self.base.embed(""))
        scheduler = DPMSolverMultistepScheduler.from_config(self.base.scheduler.config)
        scheduler.set_timesteps(steps)
        sample = _noise(unet.config.in_channels, self.image_size, noise_seeds).to(unet.device)
        for timestep in scheduler.timesteps:
            times = timestep.expand(len(sample)).to(unet.device)
            output = predict(unet, self.controlnet, sample, times, *told)
            if guidance != 1:
                unguided = predict(unet, self.controlnet, sample, times, *null)
                output = unguided + guidance * (output - unguided)
            sample = scheduler.step(output, timestep, sample).prev_sample
        pixels = self._decode(sample)
        if self.controlnet is not None:
            return to_uint8(pixels.mean(axis=1)), [mask.numpy() for mask in masks.cpu()]
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
    text = text.expand(len(latents), -1, -1)
    if controlnet is None:
        return unet(latents, times, encoder_hidden_states=text).sample
    down, middle = controlnet(latents, times, encoder_hidden_states=text, controlnet_cond=planes, return_dict=False)
    return unet(
        latents,
        times,
        encoder_hidden_states=text,
        down_block_additional_residuals=down,
        mid_block_additional_residual=middle,
    ).sample


def load_base(folder: Path, device) -> Base:
    """Open a Stable Diffusion model from a local diffusers folder; nothing is downloaded and no pickle is read.

    Raises:
        InputError: no such folder, another kind of model, a missing part, or weights that are not safetensors.
    """
    if not folder.is_dir():
        raise InputError(
            f"{folder}: no such folder; key 'diffusion.latent.weights' names the folder of a Stable Diffusion model "
            "in diffusers form, the one that holds model_index.json"
        )
    return _open(folder, "StableDiffusionPipeline", device, _TAKE_ANOTHER)


def load_latent(folder: Path, device) -> LatentGenerator:
    """Open a generator that ``save_latent`` wrote.

    Raises:
        InputError: no generator there, or a damaged one.
    """
    index = folder / "latent.json"
    if not index.exists():
        raise InputError(f"{folder}: no latent diffusion model there; run the stage train_diffusion, or `dvc pull`")
    config = read_json(index, _AGAIN)
    try:
        conditioned = {"controlnet": True, "reference": False}[config["variant"]]
        structures, size, prompt = from_json(config["structures"]), int(config["image_size"]), str(config["prompt"])
        sectors = config["sectors"]
        lora = load_file(folder / LORA_FILE)
    except _UNREADABLE as error:
        raise InputError(f"{folder}: a damaged latent diffusion model ({_line(error)}); {_AGAIN}") from None
    pipeline = "StableDiffusionControlNetPipeline" if conditioned else "StableDiffusionPipeline"
    base = _open(folder, pipeline, device, _AGAIN)
    controlnet = _network(folder / "controlnet", ControlNetModel, _AGAIN).to(device) if conditioned else None
    return LatentGenerator(base, controlnet, lora, structures, size, prompt, sectors)


def _open(folder: Path, pipeline: str, device, remedy: str) -> Base:
    index = folder / "model_index.json"
    kind = read_json(index, f"the folder is no diffusers model; {remedy}").get("_class_name")
    if kind != pipeline:
        raise InputError(f"{index}: holds a {kind}, not a {pipeline}; {remedy}")
    kinds = {"vae": AutoencoderKL, "unet": UNet2DConditionModel, "text_encoder": CLIPTextModel}
    networks = {name: _network(folder / name, kind, remedy).to(device) for name, kind in kinds.items()}
    words, noise = (_part(folder / name, remedy) for name in ("tokenizer", "scheduler"))
    try:
        tokenizer = CLIPTokenizer.from_pretrained(words, local_files_only=True)
        scheduler = DDPMScheduler.from_pretrained(noise, local_files_only=True)
    except Exception as error:  # the tokenizer's parser raises nothing more specific
        raise InputError(f"{folder}: unreadable tokenizer or scheduler ({_line(error)}); {remedy}") from None
    base = Base(**networks, tokenizer=tokenizer, scheduler=scheduler)
    _check_fit(folder, base, remedy)
    return base


def _network(folder: Path, kind: type, remedy: str) -> torch.nn.Module:
    if not list(_part(folder, remedy).glob("*.safetensors")):
        found = ", ".join(sorted(file.name for file in folder.iterdir())) or "nothing"
        raise InputError(
            f"{folder}: no safetensors weights (found {found}), and pickled weights are refused because they can run "
            "code; get the model's safetensors files"
        )
    try:
        network, report = kind.from_pretrained(
            folder, use_safetensors=True, local_files_only=True, output_loading_info=True
        )
    except _UNREADABLE as error:
        raise InputError(f"{folder}: not the weights of a {kind.__name__} ({_line(error)}); {remedy}") from None
    if report["missing_keys"]:
        missing = ", ".join(sorted(report["missing_keys"])[:3])
        raise InputError(f"{folder}: weights are missing ({missing}); {remedy}")
    if hasattr(network, "register_to_config"):
        # diffusers notes the path and would save it, so that equal models differed between machines.
        network.register_to_config(_name_or_path="")
    return network.float().requires_grad_(False).eval()


def _part(folder: Path, remedy: str) -> Path:
    if not folder.is_dir():
        raise InputError(f"{folder}: this part of the model is missing; {remedy}")
    return folder


def _check_fit(folder: Path, base: Base, remedy: str) -> None:
    vae, unet, text = base.vae.config, base.unet.config, base.text_encoder.config
    wrong = {
        f"its VAE does not reduce by {LATENT_SCALE}": 2 ** (len(vae.block_out_channels) - 1) != LATENT_SCALE,
        "its U-Net takes more than the latents": unet.in_channels != vae.latent_channels,
        "its text encoder is another model's": unet.cross_attention_dim != text.hidden_size,
        # Without its files the tokenizer opens all the same, knowing no words.
        "its tokenizer does not know the text encoder's words": len(base.tokenizer) != text.vocab_size,
        f"it predicts '{base.scheduler.config.prediction_type}'": base.scheduler.config.prediction_type
        not in ("epsilon", "v_prediction"),
    }
    for problem, holds in wrong.items():
        if holds:
            raise InputError(f"{folder}: {problem}; {remedy}")


def _noise(channels: int, image_size: int, seeds: Sequence[int]) -> Tensor:
    """float [B, channels, S/8, S/8], standard normal, drawn on the CPU so that every device sees the same."""
    shape = (channels, image_size // LATENT_SCALE, image_size // LATENT_SCALE)
    return torch.stack([torch.randn(shape, generator=torch.Generator().manual_seed(seed)) for seed in seeds])


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
