"""Overlap of two masks."""

import numpy as np


def overlap(a: np.ndarray, b: np.ndarray) -> tuple[float, float]:
    """Dice and IoU of two bool masks; 1 where both are empty."""
    common = np.count_nonzero(a & b)
    total = np.count_nonzero(a) + np.count_nonzero(b)
    return (float(2 * common / total), float(common / (total - common))) if total else (1.0, 1.0)
