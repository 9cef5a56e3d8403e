"""The one decoder of images and the one decoder of masks, for every reader and every command.

What a file is, its content says and not its name. See docs/data.md for what is accepted, converted and refused.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from pipeline.decoding import dicom, raster, volume
from pipeline.decoding.file_names import IMAGE_SUFFIXES, LOSSY_SUFFIXES, MASK_SUFFIXES, list_files, split_suffix
from pipeline.decoding.grey_levels import Window, eight_bit, grey_levels
from pipeline.decoding.mask_values import mask_values, opaque
from pipeline.decoding.stored import Stored, pixel_edge
from pipeline.decoding.volume_header import kind_of
from pipeline.run.errors import InputError

__all__ = [
    "IMAGE_SUFFIXES", "MASK_SUFFIXES", "Picture", "class_indices", "decode_colours", "decode_image", "decode_mask",
    "decode_sized_mask", "read_masks", "split_suffix",
]  # fmt: skip


class Picture(NamedTuple):
    """A decoded image: uint8 HxW, and the edge of a (square) pixel in millimetres where the file says it."""

    pixels: np.ndarray
    pixel_mm: float | None = None


def decode_image(data: bytes, name: str, window: Window | None = None) -> Picture:
    """A grey image, upright. Equal channels keep their value; true colour becomes ITU-R 601 luma, alpha black below.

    Args:
        window: (low, high), the values that become 0 and 255 where a file has more than 8 bits per channel; None: the
            window that the file declares, as DICOM does.

    Raises:
        InputError: naming a file that is damaged, hostile or several images, one with more than 8 bits and no window,
            a window for one with 8, or pixels that are no squares.
    """
    stored = _read(data, name)
    return Picture(grey_levels(stored, name, window), pixel_edge(stored.spacing, name))


def decode_colours(data: bytes, name: str) -> np.ndarray:
    """uint8 HxWx3, upright, of a painted mask; transparent is black.

    Raises:
        InputError: as :func:`decode_image`, or half-transparent pixels.
    """
    colours, alpha = eight_bit(_read(data, name), name, None)
    if colours.ndim == 2:
        colours = np.stack([colours] * 3, axis=-1)
    return colours if alpha is None else np.where(opaque(alpha, name)[..., None], colours, 0).astype(np.uint8)


def decode_mask(data: bytes, name: str) -> np.ndarray:
    """uint8 HxW with the stored values of a mask, upright: grey levels, palette indices, or equal channels.

    Raises:
        InputError: naming a file that is damaged, hostile or several images, a JPEG, a mask painted in colours, or one
            whose values are no class indices.
    """
    return mask_values(_read(data, name), name)


def decode_sized_mask(data: bytes, name: str) -> Picture:
    """:func:`decode_mask`, with the edge of a (square) pixel in millimetres where the file says it.

    Raises:
        InputError: as there, or the pixels are no squares.
    """
    stored = _read(data, name)
    return Picture(mask_values(stored, name), pixel_edge(stored.spacing, name))


def class_indices(mask: np.ndarray, n_classes: int) -> np.ndarray:
    """uint8 HxW class indices. With exactly two classes, a black and white mask (0 and 255) counts as 0 and 1."""
    if n_classes == 2 and mask.max(initial=0) == 255 and not ((mask > 0) & (mask < 255)).any():
        return (mask == 255).astype(np.uint8)
    return mask


def _read(data: bytes, name: str) -> Stored:
    if dicom.is_dicom(data):
        return dicom.read(data, name)
    if kind := kind_of(data):
        return volume.read(data, name, kind)
    return raster.read(data, name)


def read_masks(folder: Path, structures: Sequence[str]) -> list[tuple[str, np.ndarray]]:
    """Masks directly in a folder, as (file name without suffix, uint8 HxW class indices), in the order of their names.

    Raises:
        InputError: naming a file that is damaged, a JPEG, empty or holds an index beyond ``structures`` (their names),
            or two files of one name.
    """
    masks: dict[str, np.ndarray] = {}
    for path in list_files(folder, (*MASK_SUFFIXES, *LOSSY_SUFFIXES)):
        mask = class_indices(decode_mask(path.read_bytes(), str(path)), len(structures) + 1)
        if not mask.any():
            raise InputError(f"{path}: the mask is empty; remove it or draw a structure")
        if mask.max() > len(structures):
            known = ", ".join(("background", *structures))
            raise InputError(f"{path}: holds value {mask.max()}, allowed are 0 to {len(structures)} ({known})")
        masks[split_suffix(path.name)[0]] = mask
    return list(masks.items())
