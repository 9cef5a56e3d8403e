"""One mapping from (seed, keys…) to a random generator, so that nothing depends on order, threads or processes."""

import hashlib

import numpy as np


def derive(seed: int, *keys: object) -> int:
    """A 63-bit seed that is a function of ``seed`` and the keys' text alone."""
    digest = hashlib.sha256("\x1f".join(map(str, (seed, *keys))).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def numpy_generator(seed: int, *keys: object) -> np.random.Generator:
    return np.random.default_rng(derive(seed, *keys))


def torch_generator(seed: int, *keys: object):
    """A CPU generator; random numbers are drawn on the CPU so that every device sees the same ones."""
    import torch

    return torch.Generator().manual_seed(derive(seed, *keys))
