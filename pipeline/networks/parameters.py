"""Which parameters of a network are trained, and how many."""

from torch import Tensor, nn


def trained_state(network: nn.Module) -> dict[str, Tensor]:
    """The parameters that are trained, by name."""
    return {name: weight for name, weight in network.named_parameters() if weight.requires_grad}


def count_parameters(network: nn.Module) -> dict[str, int]:
    """How many parameters there are and how many are trained."""
    sizes = [(weight.numel(), weight.requires_grad) for weight in network.parameters()]
    return {"parameters": sum(n for n, _ in sizes), "trainable_parameters": sum(n for n, trained in sizes if trained)}
