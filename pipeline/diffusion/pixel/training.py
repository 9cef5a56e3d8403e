"""Training the denoiser: every batch is a function of (seed, step), so a resumed run equals an uninterrupted one.

Started by ``torchrun`` the processes share each batch, and the averaged gradient is that of one process.
"""

import logging
import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext

import torch
from accelerate import Accelerator
from diffusers import UNet2DModel

from pipeline.config.diffusion import Diffusion, Latent
from pipeline.diffusion.conditioning import Condition
from pipeline.diffusion.pixel.denoiser import FORMULATIONS, build_unet, denoising_loss
from pipeline.diffusion.pixel.ema import build_ema
from pipeline.diffusion.pool import Batch, Pool, training_batch
from pipeline.run import seeds
from pipeline.run.errors import InputError
from pipeline.run.resume import Scratch

_VALIDATION_ROUNDS = 4
log = logging.getLogger("pipeline.training")


def train_denoiser(
    pool: Pool,
    condition: Condition,
    params: Diffusion,
    seed: int,
    scratch: Scratch,
    device: torch.device,
    on_step: Callable[[int, float], None],
    *,
    validation: Pool | None = None,
    on_preview: Callable[[int, UNet2DModel], None] | None = None,
) -> UNet2DModel:
    """Train for a fixed number of steps and return the EMA weights: the last ones, or with ``validation`` the best.

    Args:
        scratch: where the state is kept every ``params.checkpoint_every`` steps.
        on_step: called with (step, loss), also for the steps before an interruption.
        validation: labelled cases; every ``preview_every`` steps the EMA's denoising loss on them is taken.
        on_preview: called every ``preview_every`` steps with (step, network under EMA weights), in the main process.

    Raises:
        InputError: a loss that is not finite (the last saved state stays in ``scratch``), or a batch that the
            processes cannot share evenly.
    """
    accelerator = Accelerator(cpu=device.type == "cpu", mixed_precision=params.mixed_precision)
    world = accelerator.num_processes
    if params.batch % (world * params.accumulate):
        raise InputError(
            f"key 'diffusion.batch' is {params.batch}, which {world} processes with diffusion.accumulate "
            f"{params.accumulate} cannot share evenly; make it a multiple of {world * params.accumulate}"
        )
    if world > 1:
        log.info("%d processes share each batch", world)
    torch.manual_seed(seeds.derive(seed, "init"))
    unet = build_unet(params.image_size, params.channels, params.layers, params.patch, condition.n_planes)
    unet = unet.to(accelerator.device, memory_format=torch.channels_last).train()
    optimizer = torch.optim.AdamW(unet.parameters(), lr=params.learning_rate, weight_decay=1e-4)
    ema = build_ema(unet.parameters(), params.ema)
    losses: list[float] = []
    best: dict = {}
    if state := scratch.load():
        unet.load_state_dict(state["unet"])
        optimizer.load_state_dict(state["optimizer"])
        ema.load_state_dict(state["ema"])
        if accelerator.scaler is not None:
            accelerator.scaler.load_state_dict(state["scaler"])
        losses, best = state["losses"], state["best"]
        for step, loss in enumerate(losses):
            on_step(step, loss)
    ema.to(accelerator.device)
    model, optimizer = accelerator.prepare(torch.compile(unet) if params.compile else unet, optimizer)

    preconditioning = FORMULATIONS[params.formulation](params.sigma_data)
    grey = pool.grey

    def loss_of(batch, network):
        parts = batch.images, batch.planes, batch.noise, batch.sigma
        return denoising_loss(network, *parts, params.patch, preconditioning, params.weighting)

    def batch_of(step: int) -> Batch:
        return training_batch(pool, condition, grey, params, seed, step, accelerator.process_index, world)

    steps = range(len(losses), params.steps)
    # On the CPU a second thread would only take from the network's.
    for step, batch in zip(steps, made_ahead(batch_of, steps, ahead=device.type != "cpu"), strict=True):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, params)
        optimizer.zero_grad(set_to_none=True)
        mean_loss = torch.zeros((), device=accelerator.device)
        for number, part in enumerate(batch.to(accelerator.device).split(params.accumulate), start=1):
            # Gradients travel between processes once a step, with the last part.
            with nullcontext() if number == params.accumulate else accelerator.no_sync(model):
                loss = loss_of(part, model) / params.accumulate
                accelerator.backward(loss)
            mean_loss += loss.detach()
        losses.append(float(accelerator.reduce(mean_loss, "mean")))
        if not math.isfinite(losses[-1]):
            raise InputError(
                f"the diffusion loss is {losses[-1]} at step {step}; lower diffusion.learning_rate or use "
                f"mixed_precision 'no' (the last good state is kept in {scratch.folder})"
            )
        accelerator.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        ema.step(unet.parameters())
        on_step(step, losses[-1])
        done = step + 1
        if accelerator.is_main_process and (done % params.preview_every == 0 or done == params.steps):
            ema.store(unet.parameters())
            ema.copy_to(unet.parameters())
            unet.eval()
            # In the precision of training.
            with accelerator.autocast():
                if validation is not None:
                    loss = _validation_loss(unet, validation, condition, grey, params, loss_of)
                    best = _better(best, unet, done, loss)
                if on_preview is not None:
                    on_preview(done, unet)
            unet.train()
            ema.restore(unet.parameters())
        if accelerator.is_main_process and done % params.checkpoint_every == 0 and done < params.steps:
            scratch.save(
                {
                    "step": done,
                    "unet": unet.state_dict(),
                    "optimizer": optimizer.optimizer.state_dict(),
                    "ema": ema.state_dict(),
                    "scaler": accelerator.scaler.state_dict() if accelerator.scaler is not None else None,
                    "losses": losses,
                    "best": best,
                }
            )
    accelerator.wait_for_everyone()
    if best:
        unet.load_state_dict(best["weights"])
    else:
        ema.copy_to(unet.parameters())
    return unet.eval()


def made_ahead(make: Callable[[int], Batch], steps: Sequence[int], ahead: bool) -> Iterator[Batch]:
    """``make(step)`` for every step in order; with ``ahead`` the next one is made by a thread meanwhile."""
    if not ahead:
        yield from map(make, steps)
        return
    with ThreadPoolExecutor(1) as thread:
        waiting = [thread.submit(make, step) for step in steps[:1]]
        for step in steps[1:]:
            waiting.append(thread.submit(make, step))
            yield waiting.pop(0).result()
        for last in waiting:
            yield last.result()


def learning_rate(step: int, params: Diffusion | Latent) -> float:
    """Linear warm-up, constant, then a linear fall to a tenth over the last fifth."""
    warm = min(1.0, (step + 1) / max(1, params.warmup_steps))
    left = (params.steps - step) / (0.2 * params.steps)
    return params.learning_rate * warm * min(1.0, max(0.1, left))


@torch.no_grad()
def _validation_loss(unet, validation: Pool, condition: Condition, grey, params: Diffusion, loss_of) -> float:
    """The denoising loss on labelled validation cases, with the same images, changes and noise at every call."""
    device = next(unet.parameters()).device
    rounds = [training_batch(validation, condition, grey, params, 0, i).to(device) for i in range(_VALIDATION_ROUNDS)]
    return sum(float(loss_of(batch, unet)) for batch in rounds) / len(rounds)


def _better(best: dict, unet, step: int, loss: float) -> dict:
    if best and best["loss"] <= loss:
        return best
    weights = {name: value.detach().cpu().clone() for name, value in unet.state_dict().items()}
    return {"loss": loss, "step": step, "weights": weights}
