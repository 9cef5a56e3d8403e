"""Stored values as the values of a mask. Nothing is resampled, anti-aliased or rescaled here."""

import numpy as np

from pipeline.decoding.stored import Stored
from pipeline.run.errors import InputError


def mask_values(stored: Stored, name: str) -> np.ndarray:
    """uint8 HxW: class indices, or 0 and 255 where a mask is black and white beyond 0 and 1. Transparent is 0.

    Raises:
        InputError: a lossy compression, colours, half-transparent pixels, values that are no class indices, or a
            palette whose order is not that of classes.
    """
    if stored.lossy:
        raise InputError(
            f"mask '{name}' is a {stored.lossy}, which smears class indices along every edge; export it as PNG from "
            "the original annotation"
        )
    values = stored.values
    if stored.palette is not None:
        values = _from_palette(values, stored.palette, name)
    elif values.ndim == 3:
        if (values != values[..., :1]).any():
            raise InputError(f"mask '{name}' is painted in colours; store class indices 0, 1, ... in one channel")
        values = values[..., 0]
    values = _indices(values, stored.bits, name)
    if stored.zero_is_white:
        values = _inverted(values, stored.bits, name)
    if stored.alpha is not None:
        values = np.where(opaque(stored.alpha, name), values, 0)
    return np.ascontiguousarray(values, np.uint8)


def opaque(alpha: np.ndarray, name: str) -> np.ndarray:
    """bool HxW, from the alpha channel of a mask (uint8 HxW).

    Raises:
        InputError: a pixel is transparent in part, or all are wholly.
    """
    if ((alpha > 0) & (alpha < 255)).any():
        raise InputError(f"mask '{name}' has half-transparent pixels; export it without transparency")
    if not alpha.any():
        raise InputError(f"mask '{name}' is transparent everywhere; export it without transparency")
    return alpha == 255


def _indices(values: np.ndarray, bits: int, name: str) -> np.ndarray:
    """Whole values up to 255; 0 and the largest of another number of bits are black and white, 0 and 255."""
    low, top = values.min(), values.max()
    if bits in range(2, 65) and bits != 8 and top == 2**bits - 1 and ((values == 0) | (values == top)).all():
        return np.where(values > 0, np.uint8(255), np.uint8(0))
    if values.dtype == np.uint8:
        return values
    # A comparison with a value that is no number is False.
    if not (low >= 0 and top <= 255 and (values == np.rint(values)).all()):
        raise InputError(
            f"mask '{name}' holds {bits}-bit values from {low:g} to {top:g} that are no class indices; store whole "
            "numbers from 0 to 255"
        )
    return values.astype(np.uint8)


def _inverted(values: np.ndarray, bits: int, name: str) -> np.ndarray:
    top = 1 if bits == 1 else 255
    if not ((values == 0) | (values == top)).all():
        raise InputError(f"mask '{name}' is stored with 0 as white and is not black and white; save it with 0 as black")
    return top - values


def _from_palette(indices: np.ndarray, palette: np.ndarray, name: str) -> np.ndarray:
    """The indices where the palette's order can be that of classes; black and white by colour in any order."""
    used = np.flatnonzero(np.bincount(indices.ravel(), minlength=256))
    opaque(palette[used, 3], name)
    colours = np.where(palette[:, 3:] > 0, palette[:, :3], 0)
    shown, background = colours[used], not colours[0].any()
    if (shown == shown[:, :1]).all():
        levels = shown[:, 0].astype(int)
        if background and (np.diff(levels) > 0).all():
            return indices
        if np.isin(levels, (0, 255)).all():
            return colours[:, 0][indices]
        raise InputError(f"mask '{name}' has a grey palette that does not rise from black; store class indices as grey")
    # Black or white among the others is the background, so the order is not that of classes.
    others = colours[used[used > 0]]
    if not background and ((others == 0).all(axis=1) | (others == 255).all(axis=1)).any():
        raise InputError(f"mask '{name}' is painted in colours; store class indices 0, 1, ... with the background 0")
    return indices
