"""Moments of a region's area: where it lies, how far it reaches, which way it points; and its largest part."""

import numpy as np

# Second moment about its own centre of a pixel of edge 1, along either axis.
_PIXEL_VARIANCE = 1 / 12


def area_moments(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Centre of mass (row, column) and covariance (2, 2) of a bool [H, W] mask that is not empty, in pixels.

    Pixels are squares of area 1 around their index: one alone has a covariance of 1/12 along either axis.
    """
    weights = mask.astype(np.float64)
    by_row, by_column = weights.sum(axis=1), weights.sum(axis=0)
    area = by_row.sum()
    y, x = np.arange(mask.shape[0], dtype=np.float64), np.arange(mask.shape[1], dtype=np.float64)
    centre = np.array([by_row @ y, by_column @ x]) / area
    # Coordinates from the centre of mass keep the sums small.
    y, x = y - centre[0], x - centre[1]
    mixed = y @ weights @ x
    covariance = np.array([[by_row @ y**2, mixed], [mixed, by_column @ x**2]]) / area
    return centre, covariance + _PIXEL_VARIANCE * np.eye(2)


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
