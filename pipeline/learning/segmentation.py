"""The objective of every segmenter: Dice + cross-entropy on cases drawn at random, augmented anew in every batch.

The cross-entropy is binary for independent structures, categorical with the background for exclusive ones.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from pipeline.config.augmentation import Augment, StrongAugment
from pipeline.config.section import Outputs
from pipeline.imaging.augment import augment, degrade
from pipeline.learning.loop import train
from pipeline.learning.objective import Batch
from pipeline.learning.recipe import Recipe
from pipeline.networks.outputs import outputs_of, structure_probabilities, with_background


class Examples(Protocol):
    """What a segmenter is trained on: inputs and masks by number."""

    def __len__(self) -> int: ...

    def batch(self, chosen: Tensor, generator: torch.Generator) -> tuple[tuple[Tensor | None, ...], Tensor]:
        """The network's inputs and integer masks [B, H, W] of the cases ``chosen``, integer [B]."""


@dataclass(frozen=True)
class ImagePool:
    """Images in memory.

    images: float32 (N, 1, H, W) in [-1, 1].
    masks: uint8 (N, H, W), class indices.
    """

    images: np.ndarray
    masks: np.ndarray
    augmentation: Augment

    def __len__(self) -> int:
        return len(self.images)

    def batch(self, chosen: Tensor, generator: torch.Generator) -> tuple[tuple[Tensor], Tensor]:
        x, y = (torch.from_numpy(values[chosen.numpy()]) for values in (self.images, self.masks))
        x, y = augmented(x, y, self.augmentation, generator)
        return (x.to(memory_format=torch.channels_last),), y


def augmented(
    images: Tensor, masks: Tensor, augmentation: Augment, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Images float [B, 1, H, W] and masks integer [B, H, W] under standard or strong augmentation."""
    images, masks = augment(images, masks, augmentation, generator)
    if isinstance(augmentation, StrongAugment):
        images = degrade(images, augmentation, generator)
    return images, masks


@dataclass(frozen=True)
class Segmentation:
    """network: the inputs of ``examples`` → logits [B, n_structures, H, W], or a tuple of several such in training: the
    loss is their mean, weighted where it has ``loss_weights``; what they stand for it says by ``outputs``.

    cases: step → the numbers of the examples that its batch is drawn from.
    """

    network: nn.Module
    examples: Examples
    n_structures: int
    cases: Callable[[int], range]

    def chosen(self, step: int, count: int, generator: torch.Generator) -> Tensor:
        """The numbers of a step's cases, int64 [B]: the first that is drawn of a batch."""
        among = self.cases(step)
        return among.start + torch.randint(len(among), (count,), generator=generator)

    def batch(self, step: int, count: int, generator: torch.Generator, share: slice) -> Batch:
        inputs, masks = self.examples.batch(self.chosen(step, count, generator), generator)
        return tuple(None if values is None else values[share] for values in (*inputs, masks))

    def loss(self, model: nn.Module, *batch: Tensor | None) -> Tensor:
        *inputs, masks = batch
        return self.loss_of(model(*inputs), masks)

    def loss_of(self, logits: Tensor | tuple[Tensor, ...], masks: Tensor) -> Tensor:
        """The loss of the network's outputs for images with integer masks [B, H, W]."""
        return mean_loss(logits, one_hot(masks, self.n_structures), self.loss_weights, outputs_of(self.network))

    @property
    def loss_weights(self) -> list[float] | None:
        """Of the network's outputs in training; None for equal ones."""
        return getattr(self.network, "loss_weights", None)


def fit(
    network: nn.Module,
    examples: Examples,
    recipe: Recipe,
    *,
    n_structures: int,
    cases: Callable[[int], range] | None = None,
    **options,
) -> nn.Module:
    """Train a segmenter; see :class:`Segmentation`, and :func:`pipeline.learning.loop.train` for the options.

    Args:
        cases: see :func:`extra_first`; None draws every batch from all cases.
    """
    everything = range(len(examples))
    objective = Segmentation(network, examples, n_structures, cases or (lambda step: everything))
    return train(objective, recipe, **options)


def extra_first(real: int, total: int, steps: int, pretrain: float) -> Callable[[int], range]:
    """Which cases a step draws from: all, or the extra ones first and then the real ones, in one schedule.

    Args:
        real: how many of the ``total`` cases, the first ones, are real.
        pretrain: share of the steps on the others, at least one step and not all; 0 for everything at once.
    """
    before = min(max(1, round(pretrain * steps)), steps - 1)

    def cases(step: int) -> range:
        if not pretrain:
            return range(total)
        return range(real, total) if step < before else range(real)

    return cases


def mean_loss(
    logits: Tensor | tuple[Tensor, ...],
    target: Tensor,
    weights: Sequence[float] | None = None,
    outputs: Outputs = "independent",
) -> Tensor:
    """Dice + cross-entropy of logits; of several the mean, or the sum with ``weights``.

    Args:
        logits: float [B, K, H, W]. target: float [B, K, H, W] of zeros and ones, without the background.
        outputs: what the logits stand for; see :func:`cross_entropy`.
    """
    every = logits if isinstance(logits, tuple) else (logits,)
    losses = torch.stack([dice_loss(one, target, outputs) + cross_entropy(one, target, outputs) for one in every])
    return losses.mean() if weights is None else losses @ losses.new_tensor(weights)


def cross_entropy(logits: Tensor, target: Tensor, outputs: Outputs) -> Tensor:
    """Independent: binary, mean over pixels and structures. Exclusive: over background and structures, mean over
    pixels."""
    if outputs == "independent":
        return functional.binary_cross_entropy_with_logits(logits, target)
    background = 1 - target.sum(dim=1, keepdim=True)
    return functional.cross_entropy(with_background(logits), torch.cat([background, target], dim=1))


def dice_loss(logits: Tensor, target: Tensor, outputs: Outputs = "independent") -> Tensor:
    """One minus the soft Dice of the structures, mean over batch and structures (Milletari et al. 2016).

    MONAI's ``DiceLoss(sigmoid=True)``, of exclusive outputs ``DiceLoss(softmax=True, include_background=False)``,
    without the ten seconds its import would add to every fine-tuning process.

    Args:
        logits: float [B, K, H, W].
        target: float [B, K, H, W] of zeros and ones.
    """
    probability = structure_probabilities(logits, outputs)
    return (1 - soft_dice(probability, target)).mean()


def soft_dice(probability: Tensor, target: Tensor) -> Tensor:
    """float [B, K, H, W] in [0, 1] and of zeros and ones → Dice of every image and structure, float [B, K]."""
    overlap = (probability * target).sum(dim=(2, 3))
    total = probability.sum(dim=(2, 3)) + target.sum(dim=(2, 3))
    return (2 * overlap + 1e-5) / (total + 1e-5)


def one_hot(masks: Tensor, n_structures: int) -> Tensor:
    """Integer [B, H, W] → float [B, n_structures, H, W], without the background."""
    classes = torch.arange(1, n_structures + 1, device=masks.device)[None, :, None, None]
    return (masks[:, None] == classes).float()
