"""Pairing every image with somebody else's mask: the control that must hurt."""

import numpy as np

from pipeline.run import seeds


def derangement(count: int, seed: int, *keys: object) -> np.ndarray:
    """A random cyclic permutation of ``count`` indices, which for ``count`` ≥ 2 leaves none in its place."""
    order = seeds.numpy_generator(seed, "derangement", *keys).permutation(count)
    result = np.empty(count, dtype=np.int64)
    result[order] = np.roll(order, 1)
    return result
