"""Head circumference: the measurement a sonographer takes from the segmentation."""

import numpy as np

from pipeline.imaging.ellipse import ellipse_perimeter
from pipeline.imaging.moments import area_moments


def head_circumference_px(mask: np.ndarray) -> float:
    """Perimeter in pixels of the ellipse with the area moments of the largest connected component.

    Exact for an ellipse up to the pixel grid, and steady where the outline is ragged: HC18 defines its circumference by
    an ellipse too. 0 for an empty mask.

    Args:
        mask: bool [H, W].
    """
    if not mask.any():
        return 0.0
    return ellipse_perimeter(*semi_axes(largest_component(mask)))


def semi_axes(mask: np.ndarray) -> tuple[float, float]:
    """Semi-axes in pixels, the longer first, of the ellipse with the second moments of a mask that is not empty.

    A filled ellipse has a variance of a²/4 along its semi-axis a.
    """
    variances = np.linalg.eigvalsh(area_moments(mask)[1])
    short, long = 2 * np.sqrt(np.maximum(variances, 0))
    return float(long), float(short)


def largest_component(mask: np.ndarray) -> np.ndarray:
    """bool [H, W] → bool [h, w]: the largest 4-connected component, cropped to the mask's bounding box.

    The first in reading order among equals. The mask must not be empty.
    """
    from scipy import ndimage

    cropped = mask[bounding_window(mask)].astype(bool)
    labels, count = ndimage.label(cropped)
    if count == 1:
        return cropped
    return labels == np.bincount(labels.ravel())[1:].argmax() + 1


def bounding_window(mask: np.ndarray) -> tuple[slice, slice]:
    """Slices of the smallest rectangle that holds every True pixel; at least one must be."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
