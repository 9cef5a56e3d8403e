"""One training loop for every segmenter: fixed steps, fixed schedule, batches that are functions of (seed, step).

Started by ``torchrun`` or ``accelerate launch`` the processes share each batch, and the averaged gradient is that of
one process.
"""

import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from pipeline.config.augmentation import Augment, StrongAugment
from pipeline.imaging.augment import augment
from pipeline.imaging.degrade import degrade
from pipeline.run import seeds
from pipeline.run.errors import InputError
from pipeline.run.resume import Scratch

CHECKPOINT_EVERY = 100
VALIDATIONS = 10
log = logging.getLogger("pipeline.training")


@dataclass(frozen=True)
class Recipe:
    """How long and how fast: AdamW, linear warm-up, half a cosine down to zero."""

    steps: int
    batch: int
    learning_rate: float
    weight_decay: float = 1e-4
    warmup_steps: int = 20
    mixed_precision: str = "no"

    @classmethod
    def of(cls, section) -> "Recipe":
        """What a parameter section says; the rest as it is by default."""
        names = (field.name for field in fields(cls))
        return cls(**{name: getattr(section, name) for name in names if hasattr(section, name)})


class Pool(Protocol):
    """What a network is trained on: inputs and masks by number."""

    def __len__(self) -> int: ...

    def batch(self, chosen: Tensor, generator: torch.Generator) -> tuple[tuple[Tensor | None, ...], Tensor]:
        """The network's inputs and integer masks [B, S, S] of the cases ``chosen``, integer [B]."""


@dataclass(frozen=True)
class ImagePool:
    """Images in memory, augmented anew in every batch.

    images: float32 (N, 1, S, S) in [-1, 1].
    masks: uint8 (N, S, S), class indices.
    """

    images: np.ndarray
    masks: np.ndarray
    augmentation: Augment

    def __len__(self) -> int:
        return len(self.images)

    def batch(self, chosen: Tensor, generator: torch.Generator) -> tuple[tuple[Tensor], Tensor]:
        x, y = (torch.from_numpy(one[chosen.numpy()]) for one in (self.images, self.masks))
        x, y = augment(x, y, self.augmentation, generator)
        if isinstance(self.augmentation, StrongAugment):
            x = degrade(x, self.augmentation, generator)
        return (x.to(memory_format=torch.channels_last),), y


@dataclass(frozen=True)
class Part:
    """Some cases of a pool.

    chosen: integer [M], their numbers in ``pool``.
    """

    pool: Pool
    chosen: Tensor

    def __len__(self) -> int:
        return len(self.chosen)

    def batch(self, chosen: Tensor, generator: torch.Generator) -> tuple[tuple[Tensor | None, ...], Tensor]:
        return self.pool.batch(self.chosen[chosen], generator)


def phases(pool: Pool, real: int, steps: int, pretrain: float) -> list[tuple[str, Pool, int]]:
    """Name, cases and steps of what is trained on in turn: all cases at once, or the extra ones and then the real ones.

    Args:
        real: how many cases of the pool, its first ones, are real.
        pretrain: share of the steps on the others; 0 for everything at once.
    """
    if not pretrain:
        return [("all", pool, steps)]
    before = min(max(1, round(pretrain * steps)), steps - 1)
    extra, first = torch.arange(real, len(pool)), torch.arange(real)
    return [("extra", Part(pool, extra), before), ("real", Part(pool, first), steps - before)]


def fit(
    network: nn.Module,
    pool: Pool,
    recipe: Recipe,
    *,
    n_structures: int,
    seed: int,
    device: torch.device,
    scratch: Scratch | None = None,
    validate: Callable[[nn.Module], float] | None = None,
    on_step: Callable[[int, float], None] = lambda step, loss: None,
) -> nn.Module:
    """Dice + cross-entropy; returns the network of the last step, or with ``validate`` the best one.

    Args:
        network: the pool's inputs → logits [B, n_structures, S, S], or a tuple of several such in training: the loss is
            their mean, weighted where it has ``loss_weights``. What does not require a gradient stays as it is.
        scratch: where the state of a long run is kept, for resuming.
        validate: higher is better; called ten times (after every step where there are fewer), in the main process.

    Raises:
        InputError: a loss that is not finite, or a batch that the processes cannot share evenly.
    """
    from accelerate import Accelerator

    accelerator = Accelerator(cpu=device.type == "cpu", mixed_precision=recipe.mixed_precision)
    world = accelerator.num_processes
    if recipe.batch % world:
        raise InputError(f"a batch of {recipe.batch} cannot be shared evenly by {world} processes; make it a multiple")
    share = slice(accelerator.process_index, None, world)
    network = network.to(accelerator.device).train()
    trained = [weight for weight in network.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=recipe.learning_rate, weight_decay=recipe.weight_decay, fused=True)
    weights = getattr(network, "loss_weights", None)
    losses: list[float] = []
    best: dict = {}
    if scratch and (state := scratch.load()):
        network.load_state_dict(state["network"], strict=False)
        optimizer.load_state_dict(state["optimizer"])
        if accelerator.scaler is not None:
            accelerator.scaler.load_state_dict(state["scaler"])
        losses, best = state["losses"], state["best"]
        for step, loss in enumerate(losses):
            on_step(step, loss)
    model, optimizer = accelerator.prepare(network, optimizer)
    for step in range(len(losses), recipe.steps):
        for group in optimizer.param_groups:
            group["lr"] = recipe.learning_rate * cosine(step, recipe.steps, recipe.warmup_steps)
        generator = seeds.torch_generator(seed, "batch", step)
        chosen = torch.randint(len(pool), (recipe.batch,), generator=generator)
        inputs, masks = pool.batch(chosen, generator)
        inputs = [None if one is None else one[share].to(accelerator.device) for one in inputs]
        target = one_hot(masks[share].to(accelerator.device), n_structures)
        loss = mean_loss(model(*inputs), target, weights)
        optimizer.zero_grad(set_to_none=True)
        accelerator.backward(loss)
        accelerator.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        losses.append(float(accelerator.reduce(loss.detach(), "mean")))
        if not math.isfinite(losses[-1]):
            raise InputError(f"the loss is {losses[-1]} at step {step}; lower the learning rate")
        on_step(step, losses[-1])
        done = step + 1
        if validate and accelerator.is_main_process and _looks(done, recipe.steps) > _looks(step, recipe.steps):
            # A numpy number could not be read back by ``Scratch.load``.
            score = float(validate(network.eval()))
            network.train()
            if not best or score > best["score"]:
                best = {"step": done, "score": score, "network": _changing(network, copy=True)}
        if scratch and accelerator.is_main_process and done % CHECKPOINT_EVERY == 0 and done < recipe.steps:
            scratch.save(
                {
                    "step": done,
                    "network": _changing(network),
                    "optimizer": optimizer.optimizer.state_dict(),
                    "scaler": accelerator.scaler.state_dict() if accelerator.scaler is not None else None,
                    "losses": losses,
                    "best": best,
                }
            )
    accelerator.wait_for_everyone()
    # Mixed precision was of the training: what is returned computes in the precision of its weights.
    accelerator.unwrap_model(model, keep_fp32_wrapper=False)
    if best:
        log.info("best of %d validations: %.4f after %d steps", VALIDATIONS, best["score"], best["step"])
        network.load_state_dict(best["network"], strict=False)
    return network.eval()


def _looks(done: int, steps: int) -> int:
    """Validations due after ``done`` steps; the last one falls on the last step."""
    return done * VALIDATIONS // steps


def _changing(network: nn.Module, copy: bool = False) -> dict[str, Tensor]:
    """The state that training changes: a frozen encoder is not saved again and again."""
    frozen = {name for name, weight in network.named_parameters() if not weight.requires_grad}
    state = {name: value.detach() for name, value in network.state_dict().items() if name not in frozen}
    return {name: value.clone() for name, value in state.items()} if copy else state


def mean_loss(outputs: Tensor | tuple[Tensor, ...], target: Tensor, weights: Sequence[float] | None = None) -> Tensor:
    """Dice + binary cross-entropy of logits; of several outputs the mean, or the sum with ``weights``."""
    outputs = outputs if isinstance(outputs, tuple) else (outputs,)
    losses = [
        dice_loss(logits, target) + functional.binary_cross_entropy_with_logits(logits, target) for logits in outputs
    ]
    losses = torch.stack(losses)
    return losses.mean() if weights is None else losses @ losses.new_tensor(weights)


def dice_loss(logits: Tensor, target: Tensor) -> Tensor:
    """One minus the soft Dice of sigmoid outputs, mean over batch and structures (Milletari et al. 2016).

    MONAI's ``DiceLoss(sigmoid=True)``, without the ten seconds its import would add to every fine-tuning process.

    Args:
        logits: float [B, K, S, S].
        target: float [B, K, S, S] of zeros and ones.
    """
    probability = logits.sigmoid()
    overlap = (probability * target).sum(dim=(2, 3))
    total = probability.sum(dim=(2, 3)) + target.sum(dim=(2, 3))
    return (1 - (2 * overlap + 1e-5) / (total + 1e-5)).mean()


def cosine(step: int, steps: int, warmup_steps: int) -> float:
    """Share of the peak learning rate: linear warm-up, then half a cosine down to zero."""
    if step < warmup_steps:
        return (step + 1) / warmup_steps
    progress = (step - warmup_steps) / max(1, steps - warmup_steps)
    return 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))


def one_hot(masks: Tensor, n_structures: int) -> Tensor:
    """Integer [B, S, S] → float [B, n_structures, S, S], without the background."""
    classes = torch.arange(1, n_structures + 1, device=masks.device)[None, :, None, None]
    return (masks[:, None] == classes).float()
