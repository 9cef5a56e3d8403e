"""Distance to the nearest training image, compared with what real unseen images show."""

from dataclasses import dataclass

import numpy as np
from scipy.spatial.distance import cdist


@dataclass(frozen=True)
class Novelty:
    """Nearest-training-neighbour distances in a standardised feature space.

    synthetic, real: float (N,), distances of synthetic and of real unseen images.
    nearest: int (N,), index of each synthetic image's nearest training image.
    ratio: median synthetic over median real distance; well below 1 means copies.
    """

    synthetic: np.ndarray
    real: np.ndarray
    nearest: np.ndarray
    ratio: float


def novelty(synthetic: np.ndarray, train: np.ndarray, unseen: np.ndarray) -> Novelty:
    """Compare feature sets, each float (N, D); features are standardised by the unseen real images."""
    mean, std = unseen.mean(axis=0), unseen.std(axis=0) + 1e-6
    a, t, u = ((x - mean) / std for x in (synthetic, train, unseen))
    distances = cdist(a, t)
    real = cdist(u, t).min(axis=1)
    nearest = distances.argmin(axis=1)
    own = distances[np.arange(len(a)), nearest]
    return Novelty(own, real, nearest, float(np.median(own) / np.median(real)))
