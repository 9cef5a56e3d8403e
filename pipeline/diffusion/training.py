"""Training the denoiser: every batch is a function of (seed, step), so a resumed run equals an uninterrupted one."""

from collections.abc import Callable

import numpy as np
import torch
from accelerate import Accelerator
from diffusers import UNet2DModel
from diffusers.training_utils import EMAModel
from torch import Tensor

from pipeline.core import seeds
from pipeline.core.affine import random_affine
from pipeline.core.errors import InputError
from pipeline.core.params import Diffusion, Latent
from pipeline.core.resume import Scratch
from pipeline.diffusion.conditioning import condition, without_mask
from pipeline.diffusion.denoiser import Preconditioning, build_unet, denoising_loss

SECTOR_BIT = 256


def standardise(images: np.ndarray, sigma_data: float) -> tuple[np.ndarray, float, float]:
    """Images in [-1, 1] to zero mean and the standard deviation the preconditioning assumes; with mean and std."""
    mean, std = float(images.mean()), float(images.std())
    return ((images - mean) / std * sigma_data).astype(np.float32), mean, std


def train_denoiser(
    images: np.ndarray,
    masks: np.ndarray,
    sectors: np.ndarray,
    n_structures: int,
    params: Diffusion,
    seed: int,
    scratch: Scratch,
    device: torch.device,
    on_step: Callable[[int, float], None],
) -> UNet2DModel:
    """Train for a fixed number of steps and return the last EMA weights: nothing is selected.

    Args:
        images: float32 (N, 1, S, S), zero mean and a standard deviation of ``params.sigma_data``.
        masks: uint8 (N, S, S), class indices.
        sectors: bool (N, S, S), the fields of view.
        scratch: where the state is kept every ``params.checkpoint_every`` steps.
        on_step: called with (step, loss), also for the steps before an interruption.
    """
    accelerator = Accelerator(cpu=device.type == "cpu")
    if accelerator.num_processes > 1:
        raise InputError("train_diffusion runs in one process; start it with `dvc repro`, not `accelerate launch`")
    torch.manual_seed(seeds.derive(seed, "init"))
    unet = build_unet(params.image_size, params.channels, params.layers, params.patch, n_structures)
    unet = unet.to(accelerator.device, memory_format=torch.channels_last).train()
    optimizer = torch.optim.AdamW(unet.parameters(), lr=params.learning_rate, weight_decay=1e-4)
    ema = EMAModel(unet.parameters(), decay=params.ema, use_ema_warmup=True, inv_gamma=1.0, power=2 / 3)
    losses: list[float] = []
    if state := scratch.load():
        unet.load_state_dict(state["unet"])
        optimizer.load_state_dict(state["optimizer"])
        ema.load_state_dict(state["ema"])
        losses = state["losses"]
        for step, loss in enumerate(losses):
            on_step(step, loss)
    ema.to(accelerator.device)
    model, optimizer = accelerator.prepare(unet, optimizer)

    edm = Preconditioning(params.sigma_data)
    pool = tuple(torch.from_numpy(part) for part in (images, masks, sectors))
    for step in range(len(losses), params.steps):
        batch = [part.to(accelerator.device) for part in training_batch(*pool, n_structures, params, seed, step)]
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, params)
        loss = denoising_loss(model, *batch, params.patch, edm)
        optimizer.zero_grad(set_to_none=True)
        accelerator.backward(loss)
        accelerator.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        ema.step(unet.parameters())
        losses.append(float(loss.detach()))
        on_step(step, losses[-1])
        if (step + 1) % params.checkpoint_every == 0 and step + 1 < params.steps:
            scratch.save(
                {
                    "step": step + 1,
                    "unet": unet.state_dict(),
                    "optimizer": optimizer.optimizer.state_dict(),
                    "ema": ema.state_dict(),
                    "losses": losses,
                }
            )
    ema.copy_to(unet.parameters())
    return unet.eval()


def training_batch(
    images: Tensor, masks: Tensor, sectors: Tensor, n_structures: int, params: Diffusion, seed: int, step: int
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Images [B, 1, S, S], condition planes [B, P, S, S], noise [B, 1, S, S] and σ [B] of one step."""
    generator = seeds.torch_generator(seed, "batch", step)
    chosen = torch.randint(len(images), (params.batch,), generator=generator)
    black = images.amin()
    x, coded = random_affine(
        images[chosen] - black - 1,
        # One map for both label images: the sector is a high bit of the mask.
        masks[chosen].short() + SECTOR_BIT * sectors[chosen],
        generator,
        flip=True,
        rotate_deg=params.rotate_deg,
        scale=params.scale,
        shift=params.shift,
    )
    x = x + 1 + black
    planes = condition(coded % SECTOR_BIT, coded >= SECTOR_BIT, n_structures)
    dropped = torch.rand(params.batch, generator=generator) < params.mask_dropout
    planes[dropped] = without_mask(planes[dropped])
    noise = torch.randn(x.shape, generator=generator)
    # Stratified over the batch: the same log-normal (p_mean, p_std), with less variance between steps.
    quantile = (torch.randperm(params.batch, generator=generator) + torch.rand(params.batch, generator=generator)) / (
        params.batch
    )
    normal = torch.special.ndtri(quantile.clamp(1e-4, 1 - 1e-4))
    sigma = (params.p_mean + params.p_std * normal).exp()
    return x, planes, noise, sigma


def learning_rate(step: int, params: Diffusion | Latent) -> float:
    """Linear warm-up, constant, then a linear fall to a tenth over the last fifth."""
    warm = min(1.0, (step + 1) / max(1, params.warmup_steps))
    left = (params.steps - step) / (0.2 * params.steps)
    return params.learning_rate * warm * min(1.0, max(0.1, left))
