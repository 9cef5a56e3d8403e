"""The training loop of every network: fixed steps, fixed schedule, batches and dropout that are functions of
(seed, step).

Started by ``torchrun`` or ``accelerate launch`` the processes share each batch, and the averaged gradient is that of
one process.
"""

import logging
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext

import torch
from torch import Tensor, nn

from pipeline.learning.average import Average
from pipeline.learning.objective import Batch, Following, Objective, Several
from pipeline.learning.recipe import Recipe
from pipeline.run import seeds
from pipeline.run.resume import Scratch

VALIDATIONS = 10
log = logging.getLogger("pipeline.training")


def train(
    objective: Objective,
    recipe: Recipe,
    *,
    seed: int,
    device: torch.device,
    scratch: Scratch | None = None,
    on_step: Callable[[int, float], None] = lambda step, loss: None,
    on_curves: Callable[[int, Mapping[str, float]], None] = lambda step, curves: None,
    validate: Callable[[nn.Module], float] | None = None,
    on_preview: Callable[[int, nn.Module], None] | None = None,
) -> nn.Module:
    """Train ``objective.network`` in place; returns it with the last weights (their average, where there is one), or
    with ``validate`` the best.

    Args:
        scratch: where the state is kept every ``recipe.checkpoint_every`` steps; a run that finds one goes on from it.
        on_step: called with (step, loss), also for the steps before an interruption.
        on_curves: called before it with (step, curves), where the objective has some.
        validate: higher is better; called ten times (after every step where there are fewer), in the main process.
        on_preview: called every ``recipe.preview_every`` steps with (steps done, network), in the main process.

    Raises:
        InputError: a loss that is not finite (the last saved state stays in ``scratch``), a batch that the processes
            cannot share evenly, or too little memory for it.
    """
    from accelerate import Accelerator

    accelerator = Accelerator(cpu=device.type == "cpu", mixed_precision=recipe.mixed_precision)
    share = recipe.share(accelerator.process_index, accelerator.num_processes)
    if accelerator.num_processes > 1:
        log.info("%d processes share each batch", accelerator.num_processes)
    network = objective.network.to(accelerator.device).train()
    trained = [weight for weight in network.parameters() if weight.requires_grad]
    clipped = objective.clipped if isinstance(objective, Several) else [network]
    # None, not False: without the fused kernel torch is to choose.
    fused = recipe.fused or None
    optimizer = torch.optim.AdamW(trained, lr=recipe.learning_rate, weight_decay=recipe.weight_decay, fused=fused)
    average = Average(network, recipe.ema_decay, recipe.ema_power) if recipe.ema_decay else None
    memory = objective.memory.to(accelerator.device) if isinstance(objective, Following) else None
    kept = {"optimizer": optimizer, "average": average, "scaler": accelerator.scaler, "memory": memory}
    kept = {name: part for name, part in kept.items() if part is not None}
    losses: list[float] = []
    curves: list[dict[str, float]] = []
    best: dict = {}
    if scratch and (state := scratch.load()):
        network.load_state_dict(state["network"], strict=False)
        for name, part in kept.items():
            part.load_state_dict(state[name])
        losses, curves, best = state["losses"], state["curves"], state["best"]
        for step, loss in enumerate(losses):
            if memory is not None:
                on_curves(step, curves[step])
            on_step(step, loss)
    model, stepper = accelerator.prepare(torch.compile(network) if recipe.compile else network, optimizer)

    def batch_of(step: int) -> Batch:
        return objective.batch(step, recipe.batch, seeds.torch_generator(seed, "batch", step), share)

    steps = range(len(losses), recipe.steps)
    # Dropout draws from torch's global generators, which are the caller's again afterwards.
    forked = torch.random.fork_rng([accelerator.device] if accelerator.device.type == "cuda" else [])
    with recipe.within_memory(), forked:
        # On the CPU a second thread would only take from the network's.
        for step, batch in zip(steps, made_ahead(batch_of, steps, ahead=device.type != "cpu"), strict=True):
            for group in optimizer.param_groups:
                group["lr"] = recipe.rate(step)
            optimizer.zero_grad(set_to_none=True)
            torch.manual_seed(seeds.derive(seed, "step", step, accelerator.process_index))
            total = torch.zeros((), device=accelerator.device)
            for number, part in enumerate(parts_of(batch, recipe.accumulate, accelerator.device), start=1):
                # Gradients travel between processes once a step, with the last part.
                with nullcontext() if number == recipe.accumulate else accelerator.no_sync(model):
                    loss = objective.loss(model, *part) / recipe.accumulate
                    accelerator.backward(loss)
                total = total + loss.detach()
            losses.append(float(accelerator.reduce(total, "mean")))
            if not math.isfinite(losses[-1]):
                raise recipe.diverged(losses[-1], step, str(scratch.folder) if scratch else "")
            accelerator.unscale_gradients()
            for part in clipped:
                nn.utils.clip_grad_norm_(part.parameters(), 1.0)
            stepper.step()
            if average:
                average.step()
            if memory is not None:
                curves.append(dict(objective.after_step(step)))
                on_curves(step, curves[-1])
            on_step(step, losses[-1])
            if not accelerator.is_main_process:
                continue
            done = step + 1
            # The last validation falls on the last step.
            validates = validate and done * VALIDATIONS // recipe.steps > step * VALIDATIONS // recipe.steps
            shows = on_preview and recipe.preview_every and (done % recipe.preview_every == 0 or done == recipe.steps)
            if validates or shows:
                with looked_at(network, average), accelerator.autocast():
                    if validates:
                        # A numpy number could not be read back by ``Scratch.load``.
                        score = float(validate(network))
                        if not best or score > best["score"]:
                            best = {"step": done, "score": score, "network": changing(network, copy=True)}
                    if shows:
                        on_preview(done, network)
            if scratch and done % recipe.checkpoint_every == 0 and done < recipe.steps:
                states = {name: part.state_dict() for name, part in kept.items()}
                states |= {"losses": losses, "curves": curves, "best": best}
                scratch.save({"step": done, "network": changing(network), **states})
    accelerator.wait_for_everyone()
    if not recipe.compile:
        # Mixed precision was of the training: what is returned computes in the precision of its weights.
        accelerator.unwrap_model(model, keep_fp32_wrapper=False)
    if best:
        log.info("best of %d validations: %.4f after %d steps", VALIDATIONS, best["score"], best["step"])
        network.load_state_dict(best["network"], strict=False)
    elif average:
        average.copy()
    return network.eval()


@contextmanager
def looked_at(network: nn.Module, average: Average | None) -> Iterator[None]:
    """The network in evaluation mode, under its averaged weights where there is an average."""
    with average.in_place() if average else nullcontext():
        network.eval()
        yield
        network.train()


def changing(network: nn.Module, copy: bool = False) -> dict[str, Tensor]:
    """The state that training changes: a frozen encoder is not saved again and again."""
    frozen = {name for name, weight in network.named_parameters() if not weight.requires_grad}
    state = {name: value.detach() for name, value in network.state_dict().items() if name not in frozen}
    return {name: value.clone() for name, value in state.items()} if copy else state


def parts_of(batch: Batch, count: int, device: torch.device) -> list[Batch]:
    """A batch on ``device`` in ``count`` equal parts, in order."""
    moved = [None if values is None else values.to(device) for values in batch]
    parts = [[None] * count if values is None else values.chunk(count) for values in moved]
    return list(zip(*parts, strict=True))


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
