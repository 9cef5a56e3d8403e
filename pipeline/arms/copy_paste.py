"""Copy-paste of structures between labelled images (Ghiasi et al., "Simple Copy-Paste", CVPR 2021).

A head pasted anywhere would leave the other head in the picture, so it takes that one's place: an affine map brings the
ellipse of the one, by its moments, onto that of the other.
"""

import numpy as np
from scipy import ndimage

from pipeline.imaging.moments import area_moments

MARGIN = 0.05
"""Of the longer side: what comes along around a structure, its bright rim among it."""

_EDGE = 0.015
"""Standard deviation of the soft edge, of the longer side."""


def exchange(
    source: tuple[np.ndarray, np.ndarray], target: tuple[np.ndarray, np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """The target with the source's structures in place of its own.

    Args:
        source, target: float32 image (1, H, W) in [-1, 1] and uint8 mask (H, W), not empty.

    Returns:
        Image and mask of the same kinds. What is not covered of the target's structures stays, and keeps its label.
    """
    (image, mask), (background, own) = source, target
    size = max(mask.shape)
    there, spread_there = area_moments(own > 0)
    here, spread_here = area_moments(mask > 0)
    to_source = _root(spread_here) @ np.linalg.inv(_root(spread_there))
    grid = np.mgrid[: mask.shape[0], : mask.shape[1]].reshape(2, -1)
    field = (to_source @ (grid - there[:, None]) + here[:, None]).reshape(2, *mask.shape)
    # Beyond the source's edge its last pixels go on: black would be an edge of its own.
    pixels = ndimage.map_coordinates(image[0], field, order=1, mode="nearest")
    labels = _moved_labels(mask, field)
    near = ndimage.distance_transform_edt(labels == 0) <= MARGIN * size
    share = ndimage.gaussian_filter(near.astype(np.float32), _EDGE * size)
    pasted = share * pixels + (1 - share) * background[0]
    return pasted[None].astype(np.float32), np.where(near, labels, own).astype(np.uint8)


def _moved_labels(mask: np.ndarray, field: np.ndarray) -> np.ndarray:
    """Class indices through a field, their outlines smooth where it enlarges."""
    shares = [
        ndimage.map_coordinates((mask == k).astype(np.float32), field, order=1) for k in range(int(mask.max()) + 1)
    ]
    shares[0] = 1 - sum(shares[1:])
    return np.argmax(shares, axis=0).astype(np.uint8)


def _root(spread: np.ndarray) -> np.ndarray:
    """The symmetric square root of a covariance: of all maps between two ellipses that with the least turn."""
    values, vectors = np.linalg.eigh(spread)
    return vectors @ np.diag(np.sqrt(values)) @ vectors.T
