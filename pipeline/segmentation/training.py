"""One training loop for every segmenter: fixed steps, fixed schedule, batches that are functions of (seed, step)."""

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from pipeline.core import seeds
from pipeline.core.params import Augment
from pipeline.core.resume import Scratch
from pipeline.segmentation.augment import augment

CHECKPOINT_EVERY = 100


def fit(
    network: nn.Module,
    images: np.ndarray,
    masks: np.ndarray,
    *,
    n_structures: int,
    steps: int,
    batch: int,
    learning_rate: float,
    augmentation: Augment,
    seed: int,
    device: torch.device,
    weight_decay: float = 1e-4,
    warmup_steps: int = 20,
    scratch: Scratch | None = None,
    on_step: Callable[[int, float], None] = lambda step, loss: None,
) -> nn.Module:
    """Dice + cross-entropy with AdamW, warm-up and cosine decay; returns the network of the last step.

    Args:
        network: float [B, 1, S, S] in [-1, 1] → logits [B, n_structures, S, S].
        images: float32 (N, 1, S, S) in [-1, 1].
        masks: uint8 (N, S, S), class indices.
        scratch: where the state of a long run is kept, for resuming.
    """
    network = network.to(device).train()
    trainable = [weight for weight in network.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(trainable, lr=learning_rate, weight_decay=weight_decay)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: cosine(step, steps, warmup_steps))
    losses: list[float] = []
    if scratch and (state := scratch.load()):
        network.load_state_dict(state["network"])
        optimizer.load_state_dict(state["optimizer"])
        schedule.load_state_dict(state["schedule"])
        losses = state["losses"]
        for step, loss in enumerate(losses):
            on_step(step, loss)
    pool = torch.from_numpy(images), torch.from_numpy(masks)
    for step in range(len(losses), steps):
        generator = seeds.torch_generator(seed, "batch", step)
        chosen = torch.randint(len(images), (batch,), generator=generator)
        x, y = augment(pool[0][chosen], pool[1][chosen], augmentation, generator)
        target = one_hot(y, n_structures).to(device)
        logits = network(x.to(device, memory_format=torch.channels_last))
        loss = dice_loss(logits, target) + functional.binary_cross_entropy_with_logits(logits, target)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trainable, 1.0)
        optimizer.step()
        schedule.step()
        losses.append(float(loss.detach()))
        on_step(step, losses[-1])
        if scratch and (step + 1) % CHECKPOINT_EVERY == 0 and step + 1 < steps:
            scratch.save(
                {
                    "step": step + 1,
                    "network": network.state_dict(),
                    "optimizer": optimizer.state_dict(),
                    "schedule": schedule.state_dict(),
                    "losses": losses,
                }
            )
    return network.eval()


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
