"""An image drawn from a mask without a generator: grey values by the distance to the outline, and speckle.

The cheap end of label-driven synthesis (Billot et al., "SynthSeg", Medical Image Analysis 2023, draw a grey value for
each label): mean and standard deviation of a real image are taken by structure and signed distance, so that a skull is
a bright rim, and a mask is filled with noise of these moments, half of it fine as speckle and half coarse as shadows.
"""

import numpy as np
from scipy import ndimage

BINS = np.linspace(-1.0, 2.0, 31)
"""Signed distance to the outline of the nearest structure, in radii of a disc of its area; negative inside."""

_GRAINS = (0.01, 0.06)
"""Standard deviations of the correlation of fine and coarse noise, of the image's side."""


def render(
    mask: np.ndarray,
    image: np.ndarray,
    labels: np.ndarray,
    seen: np.ndarray,
    rng: np.random.Generator,
) -> np.ndarray:
    """float32 (1, S, S) in [-1, 1]: ``mask`` with the look of another image.

    Args:
        mask: uint8 (S, S), what is drawn; not empty.
        image, labels: float32 (1, S, S) and uint8 (S, S), whose look it gets.
        seen: bool (S, S), the field of view of ``image``.
    """
    look = _look(image[0], labels, seen)
    means, deviations = (np.zeros(mask.shape) for _ in range(2))
    structure, distance = _places(mask)
    fallback = next(iter(look.values()))
    for k in np.unique(structure):
        here = structure == k
        mean, deviation = look.get(k, fallback)
        means[here], deviations[here] = (np.interp(distance[here], _centres(), one) for one in (mean, deviation))
    layers = (ndimage.gaussian_filter(rng.normal(size=mask.shape), grain * len(mask)) for grain in _GRAINS)
    noise = sum(layer / layer.std() for layer in layers) / np.sqrt(len(_GRAINS))
    return np.clip(means + deviations * noise, -1, 1)[None].astype(np.float32)


def _look(image: np.ndarray, labels: np.ndarray, seen: np.ndarray) -> dict[int, tuple[np.ndarray, np.ndarray]]:
    """Structure → mean and standard deviation of grey in every bin; an empty bin is like its nearest neighbour."""
    structure, distance = _places(labels)
    found = {}
    for k in np.unique(structure[seen]):
        here = seen & (structure == k)
        place = np.clip(np.digitize(distance[here], BINS) - 1, 0, len(BINS) - 2)
        counts = np.bincount(place, minlength=len(BINS) - 1)
        known = counts > 0
        values = image[here].astype(np.float64)
        mean = np.bincount(place, values, len(counts))[known] / counts[known]
        square = np.bincount(place, values**2, len(counts))[known] / counts[known]
        curves = (mean, np.sqrt(np.maximum(square - mean**2, 0)))
        found[int(k)] = tuple(np.interp(_centres(), _centres()[known], curve) for curve in curves)
    return found


def _places(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The nearest structure of every pixel, and its signed distance in radii."""
    kinds = [int(k) for k in np.unique(labels) if k]
    distances = []
    for k in kinds:
        inside = labels == k
        signed = ndimage.distance_transform_edt(~inside) - ndimage.distance_transform_edt(inside)
        distances.append(signed / np.sqrt(np.count_nonzero(inside) / np.pi))
    nearest = np.argmin(distances, axis=0)
    return np.array(kinds)[nearest], np.take_along_axis(np.stack(distances), nearest[None], axis=0)[0]


def _centres() -> np.ndarray:
    return (BINS[:-1] + BINS[1:]) / 2
