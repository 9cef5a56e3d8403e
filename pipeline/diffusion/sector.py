"""The field of view of an ultrasound image as something the denoiser is told.

Told where the sector is, the denoiser need not guess it, and a sampled image gets the sector of a real one. A sector
is convex, so a model keeps those of its training images as polygons, for masks that come without a sector.
"""

from collections.abc import Sequence

import numpy as np
import torch
from skimage.draw import polygon2mask
from skimage.measure import approximate_polygon, find_contours
from torch import Tensor


def sector_polygon(sector: np.ndarray) -> list[tuple[float, float]]:
    """Vertices (row, column) of a sector, as shares of the image size, to within half a pixel."""
    contour = max(find_contours(np.pad(sector.astype(float), 1), 0.5), key=len) - 1
    return [tuple(np.round((point + 0.5) / len(sector), 4)) for point in approximate_polygon(contour, 0.5)]


def sector_of(vertices: Sequence[Sequence[float]], size: int) -> np.ndarray:
    """bool (size, size), the sector of a polygon."""
    return polygon2mask((size, size), np.asarray(vertices) * size - 0.5)


def sector_bank(polygons: Sequence, size: int) -> Tensor:
    """bool [N, size, size], the sectors of polygons; one that is everywhere where there are none."""
    if not polygons:
        return torch.ones(1, size, size, dtype=torch.bool)
    return torch.from_numpy(np.stack([sector_of(vertices, size) for vertices in polygons]))


def choose_sectors(masks: Tensor, bank: Tensor, generator: torch.Generator | None) -> Tensor:
    """bool [B, S, S]: for each mask [B, S, S] a random one of the sectors [N, S, S] that hold all of it, else the one
    that holds most of it."""
    missed = torch.stack([((mask > 0) & ~bank).sum(dim=(1, 2)) for mask in masks.cpu()])
    tie = torch.rand(missed.shape, generator=generator, device=generator.device if generator else None).cpu()
    return bank[(missed + 0.5 * tie).argmin(dim=1)]
