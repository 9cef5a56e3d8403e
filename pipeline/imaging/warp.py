"""Plausible shape change: a random affine map plus a smooth displacement.

Sampled masks and the pairs of the warped control go through this same map: the control has the shape change of the
synthetic arm without its diffusion model.
"""

from collections.abc import Callable

import numpy as np
from scipy import ndimage

from pipeline.config.augmentation import Warp
from pipeline.imaging.canvas import sides

_CONTROL_POINTS = 4
_MIN_KEPT = 0.5
_MAX_TRIES = 20


def warp_field(size: int | tuple[int, int], params: Warp, rng: np.random.Generator) -> np.ndarray:
    """Sampling coordinates (2, H, W), in pixels, of one random warp of a canvas, ``size`` its edge or (H, W).

    Rotation is uniform in ±rotate_deg; log-scale, log-aspect and shift are uniform in their ±limits (shift as a share
    of height and width); the displacement interpolates a 4x4 grid of normal vectors of ``elastic`` times the longer
    side.
    """
    shape = np.array(sides(size))
    angle = np.deg2rad(rng.uniform(-1, 1) * params.rotate_deg)
    scale = np.exp(rng.uniform(-1, 1) * params.scale)
    aspect = np.exp(rng.uniform(-1, 1) * params.aspect / 2)
    shift = rng.uniform(-1, 1, 2) * params.shift * shape
    control = rng.normal(0, params.elastic * max(shape), (2, _CONTROL_POINTS, _CONTROL_POINTS))

    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    inverse = rotation @ np.diag([1 / (scale * aspect), aspect / scale])
    centre = (shape[:, None] - 1) / 2
    grid = np.mgrid[: shape[0], : shape[1]].reshape(2, -1).astype(np.float64)
    source = inverse @ (grid - centre - shift[:, None]) + centre
    smooth = np.stack([ndimage.zoom(axis, shape / _CONTROL_POINTS, order=3, mode="nearest") for axis in control])
    return source.reshape(2, *shape) + smooth


def warp(array: np.ndarray, field: np.ndarray, *, mask: bool = False) -> np.ndarray:
    """Resample an array of the field's shape through a field, 0 outside; masks by nearest neighbour."""
    return ndimage.map_coordinates(array, field, order=0 if mask else 1, mode="constant", cval=0)


def plausible_warp(
    mask: np.ndarray,
    valid: np.ndarray,
    params: Warp,
    rng: np.random.Generator,
    accept: Callable[[np.ndarray], bool] = lambda moved: True,
) -> np.ndarray:
    """A warp field that keeps at least half of every structure's area inside ``valid``.

    Args:
        mask: integer (H, W).
        valid: bool (H, W), where the canvas holds the image.
        accept: what else is asked of the warped mask, integer (H, W).

    Returns:
        The first such field of 20 draws, else the field of no change.
    """
    area = {k: np.count_nonzero(mask == k) for k in np.unique(mask[mask > 0])}
    for _ in range(_MAX_TRIES):
        field = warp_field(mask.shape, params, rng)
        moved = np.where(valid, warp(mask, field, mask=True), 0)
        if all(np.count_nonzero(moved == k) >= _MIN_KEPT * area[k] for k in area) and accept(moved):
            return field
    return np.mgrid[: mask.shape[0], : mask.shape[1]].astype(np.float64)
