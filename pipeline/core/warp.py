"""Plausible shape change: a random affine map plus a smooth displacement.

The masks that are sampled and the images of the warped control go through this same function, so that the control
differs from the synthetic arm in nothing but the diffusion model.
"""

import numpy as np
from scipy import ndimage

from pipeline.core.params import Warp

_CONTROL_POINTS = 4


def warp_field(size: int, params: Warp, rng: np.random.Generator) -> np.ndarray:
    """Sampling coordinates (2, size, size), in pixels, of one random warp.

    Rotation is uniform in ±rotate_deg; log-scale, log-aspect and shift are uniform in their ±limits (shift as a share
    of the size); the displacement interpolates a 4x4 grid of normal vectors of ``elastic`` times the size.
    """
    angle = np.deg2rad(rng.uniform(-1, 1) * params.rotate_deg)
    scale = np.exp(rng.uniform(-1, 1) * params.scale)
    aspect = np.exp(rng.uniform(-1, 1) * params.aspect / 2)
    shift = rng.uniform(-1, 1, 2) * params.shift * size
    control = rng.normal(0, params.elastic * size, (2, _CONTROL_POINTS, _CONTROL_POINTS))

    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    inverse = rotation @ np.diag([1 / (scale * aspect), aspect / scale])
    centre = (size - 1) / 2
    grid = np.mgrid[:size, :size].reshape(2, -1).astype(np.float64)
    source = inverse @ (grid - centre - shift[:, None]) + centre
    smooth = np.stack([ndimage.zoom(axis, size / _CONTROL_POINTS, order=3, mode="nearest") for axis in control])
    return source.reshape(2, size, size) + smooth


def warp(array: np.ndarray, field: np.ndarray, *, mask: bool = False) -> np.ndarray:
    """Resample a (size, size) array through a field, 0 outside; masks by nearest neighbour."""
    return ndimage.map_coordinates(array, field, order=0 if mask else 1, mode="constant", cval=0)
