"""Adapting a pretrained Stable Diffusion: LoRA on the U-Net, and a ControlNet for the mask; all else is frozen.

The loss is the base model's own: the mean squared error of the noise (or velocity) its scheduler asks for, in latent
space. Every batch is a function of (seed, step), so a resumed run equals an uninterrupted one.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from diffusers import (
    ControlNetModel,
    DPMSolverMultistepScheduler,
    StableDiffusionControlNetPipeline,
    StableDiffusionPipeline,
)
from diffusers.utils import convert_state_dict_to_diffusers
from peft import LoraConfig
from peft.utils import get_peft_model_state_dict
from torch import Tensor, nn
from torch.nn import functional

from pipeline.config.diffusion import Latent
from pipeline.data.structures import Structure, to_json
from pipeline.diffusion.conditioning import Condition
from pipeline.diffusion.latent.contours import check_structures, draw_contours
from pipeline.diffusion.latent.generator import LATENT_SCALE, LORA_FILE, Base, LatentGenerator, load_base, predict
from pipeline.diffusion.pixel.training import learning_rate
from pipeline.diffusion.pool import SECTOR_BIT, Pool, choose
from pipeline.diffusion.sector import outline
from pipeline.imaging.affine import random_affine
from pipeline.imaging.letterbox import to_uint8, to_unit_range
from pipeline.run import files, seeds
from pipeline.run.errors import InputError
from pipeline.run.resume import Scratch

ATTENTION = ["to_q", "to_k", "to_v", "to_out.0"]
"""The projections of every attention layer of the U-Net that LoRA (Hu et al. 2021, arXiv 2106.09685) adapts."""


class Adapted(nn.Module):
    """What is trained, as one module: the U-Net with LoRA and, in the variant 'controlnet', its ControlNet."""

    def __init__(self, unet, controlnet):
        super().__init__()
        self.unet, self.controlnet = unet, controlnet

    def forward(self, latents: Tensor, times: Tensor, planes: Tensor | None, text: Tensor) -> Tensor:
        return predict(self.unet, self.controlnet, latents, times, planes, text)

    def trained(self) -> dict[str, nn.Parameter]:
        return {name: weight for name, weight in self.named_parameters() if weight.requires_grad}


@dataclass(frozen=True)
class Batch:
    """One step's input. B images of size S, latents of C channels and size s = S/8.

    pixels: float32 [B, 3, S, S] in [-1, 1]; planes: float32 [B, P, S, S], None in the variant 'reference';
    spread, noise: float32 [B, C, s, s], standard normal: the VAE's posterior and the diffusion; times: integer [B].
    """

    pixels: Tensor
    planes: Tensor | None
    spread: Tensor
    noise: Tensor
    times: Tensor

    def to(self, device) -> "Batch":
        moved = {name: part.to(device) for name, part in vars(self).items() if part is not None}
        return replace(self, **moved)


def train_latent(
    pool: Pool,
    structures: Sequence[Structure],
    params: Latent,
    seed: int,
    scratch: Scratch,
    device: torch.device,
    on_step: Callable[[int, float], None],
    unlabelled_share: float = 0.0,
) -> LatentGenerator:
    """Train for a fixed number of steps and return the last weights, LoRA fused: nothing is selected.

    Args:
        pool: at ``params.image_size``. The variant 'reference' has no use for an image without a mask.
        scratch: where the state is kept every ``params.checkpoint_every`` steps.
        on_step: called with (step, loss), also for the steps before an interruption.

    Raises:
        InputError: no usable base model, too many structures for the variant 'reference', or a
            loss that is not finite; the last saved state stays in ``scratch``.
    """
    n_structures = len(structures)
    if params.variant == "reference":
        check_structures(n_structures)
    base = load_base(Path(params.weights), device)
    adapted = adapt(base, params, n_structures, seed)
    fit(adapted, base, pool, n_structures, params, seed, scratch, device, on_step, unlabelled_share)
    sectors = [outline(sector) for sector in pool.sectors[: pool.labelled].numpy()]
    return LatentGenerator(
        base, adapted.controlnet, fuse(adapted), tuple(structures), params.image_size, params.prompt, sectors
    )


def adapt(base: Base, params: Latent, n_structures: int, seed: int) -> Adapted:
    """Put LoRA layers into the base U-Net and, in the variant 'controlnet', copy its encoder as a ControlNet."""
    torch.manual_seed(seeds.derive(seed, "init"))
    controlnet = None
    if params.variant == "controlnet":
        controlnet = ControlNetModel.from_unet(base.unet, conditioning_channels=Condition(n_structures).n_planes)
        controlnet.to(base.unet.device).train()
    base.unet.add_adapter(
        LoraConfig(r=params.lora_rank, lora_alpha=params.lora_rank, target_modules=ATTENTION, init_lora_weights=True)
    )
    return Adapted(base.unet, controlnet)


def fit(
    adapted: Adapted,
    base: Base,
    pool: Pool,
    n_structures: int,
    params: Latent,
    seed: int,
    scratch: Scratch,
    device: torch.device,
    on_step: Callable[[int, float], None],
    unlabelled_share: float = 0.0,
) -> None:
    """Train ``adapted`` in place; arguments as of :func:`train_latent`."""
    accelerator = Accelerator(cpu=device.type == "cpu", mixed_precision=params.mixed_precision)
    if accelerator.num_processes > 1:
        raise InputError("the latent backend trains in one process; start it with `dvc repro`, not `torchrun`")
    trained = adapted.trained()
    optimizer = torch.optim.AdamW(trained.values(), lr=params.learning_rate, weight_decay=1e-2)
    losses: list[float] = []
    if state := scratch.load():
        adapted.load_state_dict(state["weights"], strict=False)
        optimizer.load_state_dict(state["optimizer"])
        if accelerator.scaler is not None:
            accelerator.scaler.load_state_dict(state["scaler"])
        losses = state["losses"]
        for step, loss in enumerate(losses):
            on_step(step, loss)
    model, optimizer = accelerator.prepare(adapted, optimizer)

    text = base.embed(params.prompt)
    for step in range(len(losses), params.steps):
        batch = latent_batch(pool, n_structures, base, params, seed, step, unlabelled_share).to(device)
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, params)
        loss = noise_loss(model, base, batch, text)
        losses.append(float(loss.detach()))
        if not math.isfinite(losses[-1]):
            wider = " or set diffusion.latent.mixed_precision to 'bf16'" if params.mixed_precision == "fp16" else ""
            raise InputError(
                f"train_diffusion: the loss is {losses[-1]} at step {step}; lower diffusion.latent.learning_rate "
                f"({params.learning_rate}){wider} (the last good state is kept in {scratch.folder})"
            )
        optimizer.zero_grad(set_to_none=True)
        accelerator.backward(loss)
        accelerator.clip_grad_norm_(adapted.parameters(), 1.0)
        optimizer.step()
        on_step(step, losses[-1])
        if (step + 1) % params.checkpoint_every == 0 and step + 1 < params.steps:
            scratch.save(
                {
                    "step": step + 1,
                    "weights": {name: weight.detach() for name, weight in trained.items()},
                    "optimizer": optimizer.optimizer.state_dict(),
                    "scaler": accelerator.scaler.state_dict() if accelerator.scaler is not None else None,
                    "losses": losses,
                }
            )


def latent_batch(
    pool: Pool, n_structures: int, base: Base, params: Latent, seed: int, step: int, unlabelled_share: float = 0.0
) -> Batch:
    """The batch of one step, on the CPU, a function of (data, parameters, seed, step) alone."""
    generator = seeds.torch_generator(seed, "batch", step)
    chosen = choose(pool, params.batch, unlabelled_share, generator)
    grey, coded = random_affine(
        pool.images[chosen][:, None].float() / 127.5 - 1,
        # One map for both label images: the sector is a high bit of the mask.
        pool.masks[chosen].short() + SECTOR_BIT * pool.sectors[chosen],
        generator,
        flip=True,
        rotate_deg=params.rotate_deg,
        scale=params.scale,
        shift=params.shift,
    )
    labels, inside = coded % SECTOR_BIT, coded >= SECTOR_BIT
    planes = None
    if params.variant == "controlnet":
        condition = Condition(n_structures)
        planes = condition.planes(labels, inside)
        unknown = (torch.rand(params.batch, generator=generator) < params.mask_dropout) | ~pool.known[chosen]
        planes[unknown] = condition.without_mask(planes[unknown])
        pixels = grey.expand(-1, 3, -1, -1)
    else:
        joint = [
            draw_contours(image, mask, n_structures)
            for image, mask in zip(to_uint8(grey[:, 0].numpy()), labels.numpy(), strict=True)
        ]
        pixels = torch.from_numpy(to_unit_range(np.stack(joint)).transpose(0, 3, 1, 2).copy())
    size = grey.shape[-1] // LATENT_SCALE
    shape = (params.batch, base.vae.config.latent_channels, size, size)
    spread, noise = (torch.randn(shape, generator=generator) for _ in range(2))
    levels = base.scheduler.config.num_train_timesteps
    times = torch.randint(levels, (params.batch,), generator=generator)
    return Batch(pixels, planes, spread, noise, times)


def noise_loss(model, base: Base, batch: Batch, text: Tensor) -> Tensor:
    """Mean squared error of the prediction the scheduler's ``prediction_type`` asks for (Ho et al. 2020, eq. 14)."""
    with torch.no_grad():
        posterior = base.vae.encode(batch.pixels).latent_dist
        latents = (posterior.mean + posterior.std * batch.spread) * base.vae.config.scaling_factor
    noisy = base.scheduler.add_noise(latents, batch.noise, batch.times)
    if base.scheduler.config.prediction_type == "v_prediction":
        target = base.scheduler.get_velocity(latents, batch.noise, batch.times)
    else:
        target = batch.noise
    return functional.mse_loss(model(noisy, batch.times, batch.planes, text).float(), target)


def fuse(adapted: Adapted) -> dict[str, Tensor]:
    """Add the LoRA weights to the U-Net's own, leaving a plain U-Net; returns them under diffusers' names."""
    lora = convert_state_dict_to_diffusers(get_peft_model_state_dict(adapted.unet))
    lora = {name: weight.detach().cpu().clone() for name, weight in lora.items()}
    adapted.unet.fuse_lora()
    adapted.unet.unload_lora()
    adapted.requires_grad_(False).eval()
    return lora


def save_latent(generator: LatentGenerator, folder: Path) -> None:
    """Write a StableDiffusion(ControlNet)Pipeline folder, all safetensors, with latent.json beside its parts.

    The U-Net there has the LoRA fused in; ``lora/`` holds it alone, for the base model only.
    """
    base = generator.base
    parts = {
        "vae": base.vae,
        "unet": base.unet,
        "text_encoder": base.text_encoder,
        "tokenizer": base.tokenizer,
        "scheduler": DPMSolverMultistepScheduler.from_config(base.scheduler.config),
        "safety_checker": None,
        "feature_extractor": None,
        "requires_safety_checker": False,
    }
    if generator.controlnet is None:
        pipeline = StableDiffusionPipeline(**parts)
    else:
        pipeline = StableDiffusionControlNetPipeline(**parts, controlnet=generator.controlnet)
    pipeline.save_pretrained(folder, safe_serialization=True)
    target = folder / LORA_FILE
    StableDiffusionPipeline.save_lora_weights(target.parent, unet_lora_layers=generator.lora, weight_name=target.name)
    files.write_json(
        folder / "latent.json",
        {
            "variant": generator.variant,
            "structures": to_json(generator.structures),
            "image_size": generator.image_size,
            "prompt": generator.prompt,
            "sectors": generator.sectors,
        },
    )
