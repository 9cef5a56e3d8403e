"""Decoding of images and masks. A mask is never resampled, anti-aliased or rescaled here."""

import io
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from pipeline.imaging.metaimage import decode_mha
from pipeline.run.errors import InputError

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")
MASK_SUFFIXES = (".png", ".bmp", ".tif", ".tiff")
"""JPEG is absent on purpose: it smears class indices along every edge."""

_EIGHT_BIT = ("1", "L", "LA", "P", "RGB", "RGBA")


class Picture(NamedTuple):
    """A decoded image: uint8 HxW, and the edge of a (square) pixel in millimetres where the file says it."""

    pixels: np.ndarray
    pixel_mm: float | None = None


def decode_image(data: bytes, name: str) -> Picture:
    """A grey image. Equal RGB channels keep their value; true colour becomes ITU-R 601 luma; alpha is dropped.

    Raises:
        InputError: naming a damaged file or one with more than 8 bits per channel, or an MHA that is no grey image.
    """
    if name.lower().endswith(".mha"):
        return Picture(decode_mha(data, name))
    return Picture(np.asarray(_decode(data, name).convert("L")))


def decode_colours(data: bytes, name: str) -> np.ndarray:
    """uint8 HxWx3; alpha is dropped. Raises InputError like :func:`decode_image`."""
    return np.asarray(_decode(data, name).convert("RGB"))


def decode_mask(data: bytes, name: str) -> np.ndarray:
    """uint8 HxW with the stored values of a mask: grey levels, palette indices, or equal RGB channels.

    Raises:
        InputError: naming a damaged file, one with more than 8 bits, or a mask painted in colours.
    """
    if name.lower().endswith(".mha"):
        return decode_mha(data, name)
    image = _decode(data, name)
    # Palette entries are the class indices themselves: converting to grey would turn them into colours.
    if image.mode in ("1", "L", "P"):
        return np.asarray(image).astype(np.uint8)
    rgb = np.asarray(image.convert("RGB"))
    if (rgb != rgb[..., :1]).any():
        raise InputError(f"mask '{name}' is painted in colours; store class indices 0, 1, ... in one channel")
    return np.ascontiguousarray(rgb[..., 0])


def class_indices(mask: np.ndarray, n_classes: int) -> np.ndarray:
    """uint8 HxW class indices. With exactly two classes, a black and white mask (0 and 255) counts as 0 and 1."""
    if n_classes == 2 and mask.max(initial=0) == 255 and not ((mask > 0) & (mask < 255)).any():
        return (mask == 255).astype(np.uint8)
    return mask


def _decode(data: bytes, name: str) -> Image.Image:
    try:
        image = Image.open(io.BytesIO(data))
        image.load()
    except (OSError, SyntaxError, ValueError, zlib.error, struct.error, Image.DecompressionBombError) as error:
        raise InputError(f"file '{name}' is not a readable image ({error}); fetch or export it again") from error
    if image.mode not in _EIGHT_BIT:
        raise InputError(f"file '{name}' has pixels of type '{image.mode}'; export it with 8 bits per channel")
    return image


def read_masks(folder: Path, structures: Sequence[str]) -> list[tuple[str, np.ndarray]]:
    """Masks in a folder, as (file name without suffix, uint8 HxW class indices), in the order of their names.

    Raises:
        InputError: naming a file that is damaged, empty or holds an index beyond ``structures`` (their names), or two
            files of one name.
    """
    masks: dict[str, np.ndarray] = {}
    for path in sorted(folder.glob("*")):
        if path.suffix.lower() not in MASK_SUFFIXES:
            continue
        if path.stem in masks:
            raise InputError(f"{folder}: two masks are named '{path.stem}'; keep one")
        mask = class_indices(decode_mask(path.read_bytes(), str(path)), len(structures) + 1)
        if not mask.any():
            raise InputError(f"{path}: the mask is empty; remove it or draw a structure")
        if mask.max() > len(structures):
            known = ", ".join(("background", *structures))
            raise InputError(f"{path}: holds value {mask.max()}, allowed are 0 to {len(structures)} ({known})")
        masks[path.stem] = mask
    return list(masks.items())
