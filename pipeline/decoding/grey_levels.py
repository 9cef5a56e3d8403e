"""Stored values as the grey levels of an image: windows, palettes, luma and alpha."""

import numpy as np
from PIL import Image

from pipeline.decoding.stored import Stored
from pipeline.run.errors import InputError

Window = tuple[float, float]


def grey_levels(stored: Stored, name: str, window: Window | None) -> np.ndarray:
    """uint8 HxW: ITU-R 601 luma over black; three equal channels keep their value.

    Args:
        window: the values that become 0 and 255, for more than 8 bits; None: as the file itself declares.

    Raises:
        InputError: more than 8 bits without a window, a window for 8 bits, or a wholly transparent image.
    """
    colours, alpha = eight_bit(stored, name, window)
    if colours.ndim == 3:
        colours = np.asarray(Image.fromarray(np.ascontiguousarray(colours)).convert("L"))
    return np.ascontiguousarray(colours if alpha is None else over_black(colours, alpha, name))


def eight_bit(stored: Stored, name: str, window: Window | None) -> tuple[np.ndarray, np.ndarray | None]:
    """uint8 HxW or HxWx3, 0 black and 255 white, and alpha (uint8 HxW) where there is one."""
    values, alpha = stored.values, stored.alpha
    if values.dtype == np.uint8 and window is not None:
        raise InputError(
            f"file '{name}' has 8 bits per channel, to which no window applies; leave the window out (key 'window' of "
            "the cohort, option --window)"
        )
    if stored.palette is not None:
        colours = stored.palette[values]
        if (stored.palette[:, 3] < 255).any():
            alpha = colours[..., 3]
        return colours[..., :3], alpha
    if values.dtype != np.uint8:
        values = scaled(values, window or stored.window, stored.bits, name)
    elif stored.bits < 8:
        values = np.rint(np.arange(256) * 255 / (2**stored.bits - 1)).clip(0, 255).astype(np.uint8)[values]
    return (255 - values if stored.zero_is_white else values), alpha


def scaled(values: np.ndarray, window: Window | None, bits: int, name: str) -> np.ndarray:
    """uint8 from numbers of any type: ``window`` = (low, high) become 0 and 255, what lies beyond is clipped.

    Raises:
        InputError: no window, with the range of the values, or values that are no numbers.
    """
    low, high = float(values.min()), float(values.max())
    if not np.isfinite([low, high]).all():
        raise InputError(f"file '{name}' holds values that are no finite numbers; export it with 8 bits per channel")
    if window is None:
        raise InputError(
            f"file '{name}' has {bits}-bit values from {low:g} to {high:g}; say which become black and white (key "
            "'window: [low, high]' of the cohort, option --window LOW HIGH), or export it with 8 bits per channel"
        )
    # In place, for the largest images; 32 bits hold 16-bit values, and 255 times these, exactly.
    grey = values.astype(np.float32 if values.dtype.itemsize <= 2 else np.float64)
    grey -= window[0]
    grey *= 255
    grey /= window[1] - window[0]
    np.clip(np.rint(grey, out=grey), 0, 255, out=grey)
    return grey.astype(np.uint8)


def over_black(pixels: np.ndarray, alpha: np.ndarray, name: str) -> np.ndarray:
    """uint8 HxW or HxWx3 seen over black through alpha, uint8 HxW."""
    if not alpha.any():
        raise InputError(f"file '{name}' is transparent everywhere; export it without transparency")
    alpha = alpha if pixels.ndim == 2 else alpha[..., None]
    if ((alpha == 0) | (alpha == 255)).all():
        return np.where(alpha > 0, pixels, 0).astype(np.uint8)
    return np.rint(pixels * (alpha / np.float32(255))).astype(np.uint8)
