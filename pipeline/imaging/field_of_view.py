"""The field of view of an ultrasound image, from the image alone: outside it every pixel is black by geometry."""

import numpy as np
from scipy import ndimage
from skimage.morphology import convex_hull_image

DARK = 10
"""Grey level up to which a pixel counts as black; fluid inside the sector is bridged by the convex hull."""


def field_of_view(image: np.ndarray) -> np.ndarray:
    """bool (S, S): the convex hull of the largest bright region of a uint8 (S, S) image (all of it if none)."""
    radius = max(1, len(image) // 32)
    bright = ndimage.binary_closing(np.pad(image > DARK, radius), iterations=radius)[radius:-radius, radius:-radius]
    bright = ndimage.binary_opening(bright, iterations=radius)
    labels, count = ndimage.label(bright)
    if count == 0:
        return np.ones(image.shape, dtype=bool)
    largest = 1 + np.argmax(ndimage.sum_labels(bright, labels, np.arange(1, count + 1)))
    return convex_hull_image(labels == largest)
