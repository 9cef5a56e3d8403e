"""The outline of a region, one pixel wide: what pictures draw and surface distances are measured between."""

import numpy as np


def outline(class_map: np.ndarray) -> np.ndarray:
    """bool (H, W): pixels of a structure with a 4-neighbour of another class, or on the rim of the image.

    Args:
        class_map: (H, W) class indices, 0 is background; or bool, one structure.
    """
    padded = np.pad(class_map, 1)
    centre = padded[1:-1, 1:-1]
    vertical = (padded[:-2, 1:-1] != centre) | (padded[2:, 1:-1] != centre)
    horizontal = (padded[1:-1, :-2] != centre) | (padded[1:-1, 2:] != centre)
    return (centre > 0) & (vertical | horizontal)
