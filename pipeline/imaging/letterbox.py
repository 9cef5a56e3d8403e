"""Letter-boxing: resolution is a model's property, so images are resized at load, never squashed."""

from dataclasses import dataclass

import numpy as np
from PIL import Image

from pipeline.imaging.canvas import sides


@dataclass(frozen=True)
class Letterbox:
    """Where a native image sits in a canvas. Sizes are (height, width) in pixels."""

    native: tuple[int, int]
    inner: tuple[int, int]
    offset: tuple[int, int]

    @classmethod
    def fit(cls, native: tuple[int, int], size: int | tuple[int, int]) -> "Letterbox":
        """As large as fits, in the middle.

        Args:
            size: of the canvas: the edge of a square, or (height, width).
        """
        (height, width), (rows, columns) = native, sides(size)
        scale = min(rows / height, columns / width)
        inner = (max(1, round(height * scale)), max(1, round(width * scale)))
        return cls((height, width), inner, ((rows - inner[0]) // 2, (columns - inner[1]) // 2))

    @property
    def scale(self) -> float:
        """Canvas pixels per native pixel."""
        return max(self.inner) / max(self.native)

    @property
    def window(self) -> tuple[slice, slice]:
        (top, left), (height, width) = self.offset, self.inner
        return slice(top, top + height), slice(left, left + width)

    def crop(self, canvas: np.ndarray) -> np.ndarray:
        """The part of a canvas that holds the image."""
        return canvas[self.window]

    def valid(self, size: int | tuple[int, int]) -> np.ndarray:
        """bool (rows, columns) of the canvas: True where it holds the image."""
        inside = np.zeros(sides(size), dtype=bool)
        inside[self.window] = True
        return inside

    def restore(self, canvas: np.ndarray) -> np.ndarray:
        """A float map of the canvas back at native resolution, bilinear."""
        return _resize(self.crop(canvas).astype(np.float32), self.native, Image.Resampling.BILINEAR)


def letterbox(image: np.ndarray, size: int | tuple[int, int], *, mask: bool = False) -> tuple[np.ndarray, Letterbox]:
    """uint8 (H, W) into a canvas padded with 0; masks by nearest neighbour, images anti-aliased.

    Args:
        size: see :meth:`Letterbox.fit`.
    """
    box = Letterbox.fit(image.shape, size)
    canvas = np.zeros(sides(size), dtype=image.dtype)
    canvas[box.window] = _resize(image, box.inner, Image.Resampling.NEAREST if mask else Image.Resampling.BILINEAR)
    return canvas, box


def to_unit_range(image: np.ndarray) -> np.ndarray:
    """uint8 in [0, 255] to float32 in [-1, 1]."""
    return image.astype(np.float32) / 127.5 - 1


def to_uint8(image: np.ndarray) -> np.ndarray:
    """float in [-1, 1] to uint8, clipped and rounded."""
    return np.clip(np.rint((image + 1) * 127.5), 0, 255).astype(np.uint8)


def _resize(array: np.ndarray, shape: tuple[int, int], resampling: Image.Resampling) -> np.ndarray:
    return np.asarray(Image.fromarray(array).resize(shape[::-1], resampling))
