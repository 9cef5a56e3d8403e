"""Decoding of images and masks. A mask is never resampled, anti-aliased or rescaled here."""

import io
import struct
import zlib

import numpy as np
from PIL import Image

from pipeline.core.errors import InputError

_EIGHT_BIT = ("1", "L", "LA", "P", "RGB", "RGBA")


def decode_grey(data: bytes, name: str) -> np.ndarray:
    """uint8 HxW. Equal RGB channels keep their value; true colour becomes ITU-R 601 luma; alpha is dropped.

    Raises:
        InputError: naming a damaged file or one with more than 8 bits per channel.
    """
    return np.asarray(_decode(data, name).convert("L"))


def decode_rgb(data: bytes, name: str) -> np.ndarray:
    """uint8 HxWx3; alpha is dropped. Raises InputError like ``decode_grey``."""
    return np.asarray(_decode(data, name).convert("RGB"))


def decode_indices(data: bytes, name: str) -> np.ndarray:
    """uint8 HxW with the stored values of a mask: grey levels, palette indices, or equal RGB channels.

    Raises:
        InputError: naming a damaged file, one with more than 8 bits, or a mask painted in colours.
    """
    image = _decode(data, name)
    # Palette entries are the class indices themselves: converting to grey would turn them into colours.
    if image.mode in ("1", "L", "P"):
        return np.asarray(image).astype(np.uint8)
    rgb = np.asarray(image.convert("RGB"))
    if (rgb != rgb[..., :1]).any():
        raise InputError(f"mask '{name}' is painted in colours; store class indices 0, 1, ... in one channel")
    return np.ascontiguousarray(rgb[..., 0])


def _decode(data: bytes, name: str) -> Image.Image:
    try:
        image = Image.open(io.BytesIO(data))
        image.load()
    except (OSError, SyntaxError, ValueError, zlib.error, struct.error, Image.DecompressionBombError) as error:
        raise InputError(f"file '{name}' is not a readable image ({error}); fetch or export it again") from error
    if image.mode not in _EIGHT_BIT:
        raise InputError(f"file '{name}' has pixels of type '{image.mode}'; export it with 8 bits per channel")
    return image
