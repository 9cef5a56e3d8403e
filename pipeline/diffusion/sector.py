"""The field of view of an ultrasound image, from the image alone: outside it every pixel is black by geometry.

Told where the sector is, the denoiser need not guess it, and a sampled image gets the sector of a real one. A sector
is convex, so a model keeps those of its training images as outlines, for masks that come without a sector.
"""

from collections.abc import Sequence

import numpy as np
import torch
from scipy import ndimage
from skimage.draw import polygon2mask
from skimage.measure import approximate_polygon, find_contours
from skimage.morphology import convex_hull_image
from torch import Tensor

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


def outline(sector: np.ndarray) -> list[tuple[float, float]]:
    """Vertices (row, column) of a sector, as shares of the image size, to within half a pixel."""
    contour = max(find_contours(np.pad(sector.astype(float), 1), 0.5), key=len) - 1
    return [tuple(np.round((point + 0.5) / len(sector), 4)) for point in approximate_polygon(contour, 0.5)]


def from_outline(vertices: Sequence[Sequence[float]], size: int) -> np.ndarray:
    """bool (size, size), the sector of an outline."""
    return polygon2mask((size, size), np.asarray(vertices) * size - 0.5)


def sector_bank(outlines: Sequence, size: int) -> Tensor:
    """bool [N, size, size], the sectors of outlines; one that is everywhere where there are none."""
    if not outlines:
        return torch.ones(1, size, size, dtype=torch.bool)
    return torch.from_numpy(np.stack([from_outline(vertices, size) for vertices in outlines]))


def choose_sectors(masks: Tensor, bank: Tensor, generator: torch.Generator | None) -> Tensor:
    """bool [B, S, S]: for each mask [B, S, S] a random one of the sectors [N, S, S] that hold all of it, else the one
    that holds most of it."""
    missed = torch.stack([((mask > 0) & ~bank).sum(dim=(1, 2)) for mask in masks.cpu()])
    tie = torch.rand(missed.shape, generator=generator, device=generator.device if generator else None).cpu()
    return bank[(missed + 0.5 * tie).argmin(dim=1)]
