"""What a file stores, before it is read as an image or as a mask, and the limits that all decoders share."""

import math
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
from PIL import Image

from pipeline.run.errors import InputError

MAX_PIXELS = 50_000_000
"""The largest image that is opened; a header that claims more is refused before any pixel is read."""
_SQUARE = 0.01
"""How far the two edges of a pixel may differ, relative to each other."""


class Stored(NamedTuple):
    """The pixels of a file as stored, upright.

    Attributes:
        values: HxW or HxWx3, uint8 up to 8 bits, else the integers or floating-point numbers of the file.
        bits: of a channel.
        palette: uint8 256x4, red, green, blue and alpha of every value of an indexed image.
        alpha: uint8 HxW.
        zero_is_white: the value 0 stands for white (TIFF WhiteIsZero, DICOM MONOCHROME1).
        lossy: name of a compression that changes pixels.
        window: (low, high), the values that the file itself declares to be black and white.
        spacing: (between rows, between columns) in millimetres.
    """

    values: np.ndarray
    bits: int
    palette: np.ndarray | None = None
    alpha: np.ndarray | None = None
    zero_is_white: bool = False
    lossy: str | None = None
    window: tuple[float, float] | None = None
    spacing: tuple[float, float] | None = None


class Volume(NamedTuple):
    """An image of n axes in space, as stored.

    Attributes:
        array: axes slowest first; with ``vector`` one more at the end, of components.
        direction: n x n cosines, a column for each axis of the image, fastest first.
        spacing: fastest axis first.
        unit: of the spacing; None and "" for millimetres.
    """

    array: np.ndarray
    direction: np.ndarray
    spacing: Sequence[float]
    vector: bool
    unit: str | None = None


@contextmanager
def decoder(name: str, say: bool = True) -> Iterator[None]:
    """Turn whatever a library raises on a damaged file into InputError.

    Args:
        say: whether the library's own words may be shown; those on DICOM can hold a patient's name.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        try:
            yield
        except InputError:
            raise
        except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
            raise InputError(
                f"file '{name}' claims more than {MAX_PIXELS:,} pixels; crop it or export it again"
            ) from error
        # Decoders raise all kinds on damaged files.
        except Exception as error:
            reason = " ".join(str(error).split())[:200] if say else ""
            reason = reason or type(error).__name__
            raise InputError(f"file '{name}' is not a readable image ({reason}); fetch or export it again") from error


def check_size(height: int, width: int, name: str) -> None:
    """Refuse an image without pixels, and one of more than :data:`MAX_PIXELS`."""
    if min(height, width) < 1:
        raise InputError(f"file '{name}' holds no pixels ({width} x {height}); fetch or export it again")
    if height * width > MAX_PIXELS:
        raise InputError(
            f"file '{name}' claims {width} x {height} pixels, more than {MAX_PIXELS:,}; crop it or export it again"
        )


def check_frames(count: int, name: str) -> None:
    """Refuse several pages, frames or slices: one of them would be taken and the others dropped."""
    if count > 1:
        raise InputError(f"file '{name}' holds {count} images (frames, pages or slices); export it as {count} files")


def pixel_edge(spacing: tuple[float, float] | None, name: str) -> float | None:
    """The edge of a square pixel in millimetres, or None where it is unknown.

    Exactly 1 x 1 is what converters write that know nothing, and 0 x 0 no size either: both count as unknown.

    Raises:
        InputError: the pixels are no squares, or the spacing is no positive number.
    """
    if spacing is None or spacing in ((1, 1), (0, 0)):
        return None
    low, high = sorted(spacing)
    if not (low > 0 and math.isfinite(high)):
        raise InputError(f"file '{name}' says its pixels are {spacing[1]:g} x {spacing[0]:g} mm; correct its header")
    if high > low * (1 + _SQUARE):
        raise InputError(
            f"file '{name}' has pixels of {spacing[1]:g} x {spacing[0]:g} mm; resample it to square pixels"
        )
    return low if low == high else (low + high) / 2
