"""Batches with and without labels in one network with batch norms: whose statistics normalise, and whose are kept."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


@contextmanager
def untracked(network: nn.Module) -> Iterator[None]:
    """Passes in training normalise by their own batch, as ever, and leave the running statistics as they are."""
    # A momentum of 0 would still count the batches.
    norms = [one for one in network.modules() if isinstance(one, _BatchNorm) and one.track_running_stats]
    for norm in norms:
        norm.track_running_stats = False
    try:
        yield
    finally:
        for norm in norms:
            norm.track_running_stats = True


def in_turn(call: Callable[[Tensor], Any], network: nn.Module, parts: Sequence[Tensor], joint: bool) -> list:
    """What a call of ``network`` gives for batches [B_i, ...], the labelled one first.

    Joint: of all as one batch, a single result. Else one after the other, each normalised by itself; the running
    statistics are those of the first.
    """
    first, *others = parts
    if not others:
        return [call(first)]
    if joint:
        return [call(torch.cat(list(parts)))]
    found = [call(first)]
    with untracked(network):
        return found + [call(part) for part in others]
