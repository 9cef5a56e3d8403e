"""What a training is for: a network, the batch of a step, and the loss of it. One small class per objective."""

from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn

Batch = tuple[Tensor | None, ...]
"""Tensors [B, ...] on the CPU; None for an input that the network goes without."""


class Objective(Protocol):
    """``network`` holds all that is trained, as one module; what does not require a gradient stays as it is."""

    network: nn.Module

    def batch(self, step: int, count: int, generator: torch.Generator, share: slice) -> Batch:
        """The cases ``share`` of the batch of a step.

        Random numbers are drawn for all ``count`` cases, so that the shares together are the batch. It may be called in
        another thread than the rest.

        Args:
            generator: on the CPU, a function of (seed, step).
        """

    def loss(self, model: nn.Module, *batch: Tensor | None) -> Tensor:
        """The mean loss of a batch, a scalar.

        Args:
            model: ``network`` as it is called in training: compiled, in the training's precision, of several processes.
            batch: on the network's device.
        """


@runtime_checkable
class Several(Protocol):
    """An objective whose network is several that are trained together."""

    clipped: Sequence[nn.Module]
    """Its parts, each with a gradient of its own to be clipped, so that none slows another down."""


@runtime_checkable
class Following(Protocol):
    """An objective that has a state of its own, which follows the network."""

    memory: nn.Module
    """Its state: on the network's device, kept with the network's when a run is interrupted, trained by nobody."""

    def after_step(self, step: int) -> Mapping[str, float]:
        """Called once a step is taken, in every process; returns what is worth a curve beside the loss."""
