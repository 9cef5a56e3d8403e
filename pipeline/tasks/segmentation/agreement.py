"""How far two class maps agree, by structure."""

import math

import numpy as np

from pipeline.tasks.segmentation.inference import dice
from pipeline.tasks.segmentation.surface import surface_scores


def agreement(a: np.ndarray, b: np.ndarray, n_structures: int) -> tuple[np.ndarray, np.ndarray]:
    """Dice and mean surface distance (pixels) of two class maps per structure, both float (n_structures,).

    A structure absent from one map lies the image diagonal away; absent from both, its distance is nan.
    """
    pairs = [(a == k, b == k) for k in range(1, n_structures + 1)]
    distances = [surface_scores(p, q)[1] if p.any() or q.any() else math.nan for p, q in pairs]
    return dice(a, b, n_structures), np.array(distances)
