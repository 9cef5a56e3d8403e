"""A pretrained Stable Diffusion, opened from a local diffusers folder; nothing is downloaded and no pickle is read."""

from dataclasses import dataclass
from pathlib import Path

import torch
from diffusers import AutoencoderKL, DDPMScheduler, UNet2DConditionModel
from torch import Tensor
from transformers import CLIPTextModel, CLIPTokenizer

from pipeline.networks.diffusers_folder import load_network
from pipeline.run.errors import InputError, in_one_line
from pipeline.run.files import read_json

LATENT_SCALE = 8
"""Pixels per latent, of every Stable Diffusion VAE and of the ControlNet's condition embedding."""
TAKE_ANOTHER = (
    "key 'diffusion.weights' names the folder of a Stable Diffusion 1.x or 2.x text-to-image model in diffusers form, "
    "the one that holds model_index.json, with all its files"
)


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
        length = self.text_encoder.config.max_position_embeddings
        tokens = self.tokenizer(prompt, padding="max_length", max_length=length, truncation=True, return_tensors="pt")
        with torch.no_grad():
            return self.text_encoder(tokens.input_ids.to(self.text_encoder.device))[0]


def load_base(folder: Path, device, pipeline: str = "StableDiffusionPipeline", remedy: str = TAKE_ANOTHER) -> Base:
    """Open a Stable Diffusion model.

    Args:
        pipeline: the name of the diffusers pipeline it must be of.

    Raises:
        InputError: no such folder, another kind of model, a missing part, or weights that are not safetensors.
    """
    if folder.is_file():
        raise InputError(
            f"{folder}: a file, and a folder is wanted; diffusers makes one with "
            f"`StableDiffusionPipeline.from_single_file(...).save_pretrained(...)`; {remedy}"
        )
    index = folder / "model_index.json"
    kind = read_json(index, f"the folder is no diffusers model; {remedy}").get("_class_name")
    if kind != pipeline:
        raise InputError(f"{index}: holds a {kind}, not a {pipeline}; {remedy}")
    for part in ("vae", "unet", "text_encoder", "tokenizer", "scheduler"):
        if not (folder / part).is_dir():
            raise InputError(f"{folder / part}: this part of the model is missing; {remedy}")
    kinds = {"vae": AutoencoderKL, "unet": UNet2DConditionModel, "text_encoder": CLIPTextModel}
    networks = {name: load_network(folder / name, kind, remedy).to(device) for name, kind in kinds.items()}
    try:
        tokenizer = CLIPTokenizer.from_pretrained(folder / "tokenizer", local_files_only=True)
        scheduler = DDPMScheduler.from_pretrained(folder / "scheduler", local_files_only=True)
    except Exception as error:  # the tokenizer's parser raises nothing more specific
        raise InputError(f"{folder}: unreadable tokenizer or scheduler ({in_one_line(error)}); {remedy}") from None
    base = Base(**networks, tokenizer=tokenizer, scheduler=scheduler)
    _check_fit(folder, base, remedy)
    return base


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
