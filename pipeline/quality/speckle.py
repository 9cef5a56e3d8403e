"""Speckle of the brain: how strong it is, and how long its grains are along and across the beam.

A generator can draw a head at the right place with the wrong grain: too smooth, isotropic, or finer than the scanner
resolves. All three numbers depend on resolution and on the display's compression of grey levels, so they are for
comparison between images of one size, synthetic against real, not for physics.
"""

from collections.abc import Callable

import numpy as np
from scipy import ndimage, signal

STATISTICS = ("snr", "axial_px", "lateral_px")

# Shares of the square root of the region's area, as the head is anything between 15 and 200 pixels wide.
_MARGIN = 0.08
_WINDOW = 0.12
_TREND = 0.08
_WINDOW_PX = (5, 15)
_MIN_PIXELS = 64
_FLAT = 0.5
"""Standard deviation in grey levels below which a window holds rounding, not speckle."""


def speckle(image: np.ndarray, region: np.ndarray) -> np.ndarray:
    """float64 (3,): ``STATISTICS`` of the texture well inside the region, nan where too little of it is left.

    snr: mean over standard deviation of the grey levels in square windows of 5 to 15 pixels, median over all that fit;
        1.91 for fully developed speckle before compression (Wagner et al., 1983), more where it is smoothed.
    axial_px, lateral_px: half widths at half height of the vertical and the horizontal autocorrelation, in pixels.
        Slow changes of level and strength are taken out first; the correlation counts pairs inside the region only.
        White noise has 0.5, the floor.

    Args:
        image: uint8 (H, W), the beam running down.
        region: bool (H, W), the head with its skull: a margin is left out.
    """
    nothing = np.full(len(STATISTICS), np.nan)
    if not region.any():
        return nothing
    size = np.sqrt(region.sum())
    # The border of the image may cut the head and is no skull: the distance is to the outside within the image.
    depth = np.full(region.shape, np.inf) if region.all() else ndimage.distance_transform_edt(region)
    inside = depth > max(1.0, _MARGIN * size)
    if inside.sum() < _MIN_PIXELS:
        return nothing
    box = ndimage.find_objects(inside.astype(np.uint8), max_label=1)[0]
    levels, inside = image[box].astype(np.float64), inside[box]
    return np.array([_snr(levels, inside, size), *_lengths(levels, inside, size)])


def _snr(levels: np.ndarray, inside: np.ndarray, size: float) -> float:
    side = int(np.clip(round(_WINDOW * size), *_WINDOW_PX)) | 1
    fits = ndimage.minimum_filter(inside, side, mode="constant", cval=False)
    mean = ndimage.uniform_filter(levels, side)[fits]
    variance = ndimage.uniform_filter(levels**2, side)[fits] - mean**2
    std = np.sqrt(np.maximum(variance, 0) * side**2 / (side**2 - 1))
    textured = std > _FLAT
    return float(np.median(mean[textured] / std[textured])) if textured.any() else np.nan


def _lengths(levels: np.ndarray, inside: np.ndarray, size: float) -> tuple[float, float]:
    """Axial and lateral half widths in pixels.

    The texture is divided by its local strength, lest a few bright echoes decide.
    """
    blur = _blur_inside(inside, max(2.0, _TREND * size))
    texture = levels - blur(levels)
    strength = np.sqrt(np.maximum(blur(texture**2), 0))
    textured = inside & (strength > _FLAT)
    if textured.sum() < _MIN_PIXELS:
        return np.nan, np.nan
    texture = np.where(textured, texture / np.maximum(strength, _FLAT), 0)
    texture[textured] -= texture[textured].mean()
    return _half_width(texture, textured, axis=0), _half_width(texture, textured, axis=1)


def _blur_inside(inside: np.ndarray, sigma: float) -> Callable[[np.ndarray], np.ndarray]:
    """A Gaussian blur that takes no account of what lies outside."""
    weight = np.maximum(ndimage.gaussian_filter(inside.astype(np.float64), sigma, mode="constant"), 1e-9)
    return lambda values: ndimage.gaussian_filter(np.where(inside, values, 0), sigma, mode="constant") / weight


def _half_width(texture: np.ndarray, inside: np.ndarray, axis: int) -> float:
    """Lag at which the autocorrelation along an axis falls to a half, linear between pixels; nan if it never does.

    Each lag is averaged over its own pairs, so the shape of the region does not shorten the correlation.
    """
    length = texture.shape[axis]
    products, pairs = (
        signal.fftconvolve(values, np.flip(values, axis), axes=axis).sum(axis=1 - axis)[length - 1 :]
        for values in (texture, inside.astype(np.float64))
    )
    lags = np.flatnonzero(pairs > _MIN_PIXELS / 2)
    correlation = products[lags] / pairs[lags]
    below = np.flatnonzero(correlation < correlation[0] / 2)
    if not below.size or correlation[0] <= 0:
        return np.nan
    after = below[0]
    high, low = correlation[after - 1 : after + 1] / correlation[0]
    return float(after - 1 + (high - 0.5) / (high - low))
