"""A shape model of masks, fitted to the train masks of one label budget, to sample masks nobody annotated.

Each structure is a closed contour around its centroid, r(θ) = exp(log r0 + Σ a_k cos kθ + b_k sin kθ): an ellipse is
mostly k = 2, an egg k = 3. Position, size and shape of all structures and of the sector form one vector per mask;
sampling draws from a Gaussian with the vectors' mean and shrunken covariance, so that they stay joint. The drawn
sector is replaced by the nearest real one.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from skimage.draw import polygon

from pipeline.run.errors import InputError

HARMONICS = 4
SECTOR_DIMENSIONS = 3
_ANGLES = np.linspace(0, 2 * np.pi, 96, endpoint=False)
MAX_TRIES = 100


@dataclass(frozen=True)
class ShapeModel:
    """mean: float (D,), factor: float (D, R) with covariance = factor @ factor.T, in shares of the canvas size;
    area_range: float (2, K), smallest and largest share of the canvas of each structure;
    sectors: float (N, 3), the sector vectors of the fitted masks, NaN for masks that were left out."""

    mean: np.ndarray
    factor: np.ndarray
    n_structures: int
    area_range: np.ndarray
    sectors: np.ndarray

    def sample(self, size: int, valid: Sequence[np.ndarray], rng: np.random.Generator) -> tuple[np.ndarray, int]:
        """One uint8 (size, size) mask, every structure's area within 20 % of the fitted range, and the index of the
        fitted mask whose canvas and sector it takes.

        Args:
            valid: bool (size, size) per fitted mask: where its canvas holds the image.

        Raises:
            InputError: a hundred draws in a row fell outside (the train masks do not support a shape model).
        """
        for _ in range(MAX_TRIES):
            vector = self.vector(rng)
            if placed := self.placed(rasterise(vector[:-SECTOR_DIMENSIONS], self.n_structures, size), vector, valid):
                return placed
        raise InputError("the shape model found no plausible mask in 100 draws; set sample.masks.shape_model to 0")

    def vector(self, rng: np.random.Generator) -> np.ndarray:
        """A draw of the vector of a mask and its sector, float (D,)."""
        return self.mean + self.factor @ rng.normal(size=self.factor.shape[1])

    def placed(
        self, mask: np.ndarray, vector: np.ndarray, valid: Sequence[np.ndarray]
    ) -> tuple[np.ndarray, int] | None:
        """A drawn mask on the canvas of the fitted mask whose sector is nearest, and the index of that; None where a
        tenth of it or more lies outside that canvas, or a structure's area is not within 20 % of the fitted range."""
        low, high = self.area_range
        distance = ((self.sectors - vector[-SECTOR_DIMENSIONS:]) ** 2).sum(axis=1)
        nearest = int(np.nanargmin(distance))
        inside = np.where(valid[nearest], mask, 0).astype(np.uint8)
        kept = np.count_nonzero(inside) >= 0.9 * np.count_nonzero(mask)
        areas = np.array([np.mean(inside == k + 1) for k in range(self.n_structures)])
        return (inside, nearest) if kept and np.all((0.8 * low <= areas) & (areas <= 1.2 * high)) else None


def fit_shape_model(
    masks: Sequence[np.ndarray], n_structures: int, sectors: Sequence[np.ndarray], shrinkage: float = 0.1
) -> ShapeModel:
    """Fit to uint8 (S, S) masks and the bool (S, S) sectors of their images.

    Args:
        shrinkage: share of the diagonal in the covariance, for fewer masks than dimensions.

    Raises:
        InputError: fewer than two masks hold all structures.
    """
    complete = complete_masks(masks, n_structures)
    if len(complete) < 2:
        raise InputError(
            f"a shape model needs two masks with all structures, found {len(complete)}; "
            "raise grid.labels or set sample.masks.shape_model to 0"
        )
    fitted = np.full((len(masks), SECTOR_DIMENSIONS), np.nan)
    fitted[complete] = [sector_vector(sectors[i]) for i in complete]
    vectors = np.stack([np.concatenate([shape_vector(masks[i], n_structures), fitted[i]]) for i in complete])
    centred = vectors - vectors.mean(axis=0)
    scale = np.sqrt((1 - shrinkage) / (len(vectors) - 1))
    factor = np.concatenate([scale * centred.T, np.sqrt(shrinkage) * np.diag(centred.std(axis=0, ddof=1))], axis=1)
    areas = np.array([[np.mean(masks[i] == k + 1) for k in range(n_structures)] for i in complete])
    area_range = np.stack([areas.min(axis=0), areas.max(axis=0)])
    return ShapeModel(vectors.mean(axis=0), factor, n_structures, area_range, fitted)


def complete_masks(masks: Sequence[np.ndarray], n_structures: int) -> list[int]:
    """Places of the masks that hold all structures: those of the others have no vector."""
    return [i for i, mask in enumerate(masks) if all((mask == k + 1).any() for k in range(n_structures))]


def sector_vector(sector: np.ndarray) -> np.ndarray:
    """Centroid (row, column) and root of the area of a bool (S, S) sector, as shares of the size."""
    size = len(sector)
    return np.array([*ndimage.center_of_mass(sector), np.sqrt(np.count_nonzero(sector))]) / size


def shape_vector(mask: np.ndarray, n_structures: int) -> np.ndarray:
    """The vector of a mask: per structure centroid (2), log r0 and HARMONICS cosine-sine pairs."""
    return np.concatenate([_structure_vector(mask == k + 1) for k in range(n_structures)])


def _structure_vector(inside: np.ndarray) -> np.ndarray:
    size = inside.shape[0]
    centre = np.array(ndimage.center_of_mass(inside))
    radii = np.linspace(0, size, 4 * size)
    points = centre[:, None, None] + np.stack([np.sin(_ANGLES), np.cos(_ANGLES)])[:, :, None] * radii
    along = ndimage.map_coordinates(inside.astype(np.float32), points, order=1, cval=0)
    # The outermost crossing: a concave outline is read from outside, as its envelope.
    reached = along >= 0.5
    last = np.where(reached.any(axis=1), along.shape[1] - 1 - np.argmax(reached[:, ::-1], axis=1), 0)
    log_radius = np.log(np.maximum(radii[last], 0.5) / size)
    spectrum = np.fft.rfft(log_radius) / len(_ANGLES)
    pairs = np.stack([2 * spectrum.real, -2 * spectrum.imag], axis=1)[1 : HARMONICS + 1]
    return np.concatenate([centre / size, [spectrum[0].real], pairs.ravel()])


def rasterise(vector: np.ndarray, n_structures: int, size: int) -> np.ndarray:
    """The uint8 (size, size) mask of a vector; later structures lie over earlier ones."""
    mask = np.zeros((size, size), dtype=np.uint8)
    for k, inside in enumerate(outlined(vector, n_structures, size)):
        mask[inside] = k + 1
    return mask


def outlined(vector: np.ndarray, n_structures: int, size: int) -> np.ndarray:
    """bool (K, size, size): every structure of a vector by itself, also where they overlap."""
    parts = np.zeros((n_structures, size, size), dtype=bool)
    for inside, part in zip(parts, vector.reshape(n_structures, -1), strict=True):
        harmonics = part[3:].reshape(HARMONICS, 2)
        orders = np.arange(1, HARMONICS + 1)[:, None] * _ANGLES
        log_radius = part[2] + harmonics[:, 0] @ np.cos(orders) + harmonics[:, 1] @ np.sin(orders)
        radius = np.exp(log_radius) * size
        rows, columns = polygon(
            part[0] * size + radius * np.sin(_ANGLES), part[1] * size + radius * np.cos(_ANGLES), (size, size)
        )
        inside[rows, columns] = True
    return parts
