"""Real images made worse in ways that are known, to place a synthetic set between them."""

from collections.abc import Callable

import numpy as np
from PIL import Image
from scipy import ndimage

from pipeline.imaging.letterbox import Letterbox, letterbox

COARSE_PX = 64
SIGMA_PX = 1.0

Degradation = Callable[[np.ndarray, int], np.ndarray]
"""uint8 (H, W) of any size, S → uint8 (h, w), the longer side S pixels."""


def degradations(size: int) -> dict[str, Degradation]:
    """By view of a measure; only what takes something from an image of ``size`` pixels."""
    return {"enlarged_64px": enlarged, "blurred_1px": blurred} if size > COARSE_PX else {"blurred_1px": blurred}


def enlarged(image: np.ndarray, size: int) -> np.ndarray:
    """The image at 64 pixels, brought to ``size`` bicubically."""
    small = _at_size(image, COARSE_PX)
    shape = Letterbox.fit(image.shape, size).inner
    return np.asarray(Image.fromarray(small).resize(shape[::-1], Image.Resampling.BICUBIC))


def blurred(image: np.ndarray, size: int) -> np.ndarray:
    """The image at ``size`` pixels under a Gaussian of 1 pixel."""
    smooth = ndimage.gaussian_filter(_at_size(image, size).astype(np.float64), SIGMA_PX)
    return np.rint(smooth).astype(np.uint8)


def _at_size(image: np.ndarray, size: int) -> np.ndarray:
    """Without padding, which a filter would draw into the image."""
    canvas, box = letterbox(image, size)
    return np.ascontiguousarray(box.crop(canvas))
