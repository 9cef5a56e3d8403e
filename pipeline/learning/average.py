"""The moving average of a network's weights."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn


def newest_share(past: int, decay: float, power: float = 1.0) -> float:
    """What the newest weights count in their moving average after ``past`` steps: 1 − min(decay, 1 − (1 + t)^(−power)).

    Of a power of 1 the average is the mean of all steps until ``decay`` is reached.
    """
    return 1 - min(decay, 1 - (1 + past) ** -power)


class Average:
    """Exponential moving average of trained weights and of running statistics; other numbers stay the last ones.

    At every step θ' ← (1 − α) θ' + α θ, α as :func:`newest_share` says.

    Args:
        network: on its device; followed from now on.
    """

    def __init__(self, network: nn.Module, decay: float, power: float):
        self.decay, self.power, self.steps = decay, power, 0
        state = network.state_dict()
        for name in [name for name, weight in network.named_parameters() if not weight.requires_grad]:
            del state[name]
        self.followed = {name: value for name, value in state.items() if value.is_floating_point()}
        self.averages = {name: value.clone() for name, value in self.followed.items()}

    @torch.no_grad()
    def step(self) -> None:
        """Take in the weights of one step more."""
        new = newest_share(self.steps, self.decay, self.power)
        for name, value in self.followed.items():
            average = self.averages[name]
            average.sub_(new * (average - value))
        self.steps += 1

    @torch.no_grad()
    def copy(self) -> None:
        """Give the network the averages."""
        for name, value in self.followed.items():
            value.copy_(self.averages[name])

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """The network has the averages meanwhile."""
        last = {name: value.clone() for name, value in self.followed.items()}
        self.copy()
        yield
        with torch.no_grad():
            for name, value in self.followed.items():
                value.copy_(last[name])

    def state_dict(self) -> dict:
        return {"steps": self.steps, "averages": self.averages}

    def load_state_dict(self, state: dict) -> None:
        self.steps = state["steps"]
        for name, value in self.averages.items():
            value.copy_(state["averages"][name])
