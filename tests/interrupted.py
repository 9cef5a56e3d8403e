"""A training that is killed at a step, and whether two networks are equal."""

import torch


class Killed(Exception):
    pass


def kill_at(last):
    def on_step(step, loss):
        if step == last:
            raise Killed

    return on_step


def copied(network):
    return {name: value.clone() for name, value in network.state_dict().items()}


def equal(a, b):
    return a.keys() == b.keys() and all(torch.equal(value, b[name]) for name, value in a.items())
