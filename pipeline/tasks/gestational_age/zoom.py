"""Does an estimator read the size of the head, or the zoom? Rescale the image and nothing else.

The sonographer zooms until the head fills the image, so that in a cohort the pixel size alone tells the age. When only
the image is rescaled, the head is larger by a known factor: an estimator that reads size moves with it (by the
derivative of the age by the logarithm of the circumference), one that reads the zoom from elsewhere stays.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np
from PIL import Image

from pipeline.run.errors import InputError

SCALES = (0.9, 0.95, 1.0, 1.05, 1.1)
LOWEST, HIGHEST = 0.5, 2.0


def rescaled(image: np.ndarray, scale: float) -> np.ndarray:
    """The content larger by ``scale`` about the centre, on the same canvas; black where the content no longer reaches.

    Anti-aliased; a scale of 1 changes nothing.

    Args:
        image: uint8 (H, W). scale: between 0.5 and 2, both excluded.

    Raises:
        InputError: another scale.
    """
    if not LOWEST < scale < HIGHEST:
        raise InputError(f"a scale of {scale} is not between {LOWEST} and {HIGHEST}; choose one nearer to 1")
    height, width = image.shape
    # The window that fills the canvas afterwards reaches beyond the image where the content shrinks.
    rows, columns = (max(0, math.ceil(side * (1 / scale - 1) / 2)) for side in (height, width))
    padded = np.pad(image, ((rows, rows), (columns, columns)))
    centre_y, centre_x = padded.shape[0] / 2, padded.shape[1] / 2
    half_y, half_x = height / scale / 2, width / scale / 2
    window = (centre_x - half_x, centre_y - half_y, centre_x + half_x, centre_y + half_y)
    return np.asarray(Image.fromarray(padded).resize((width, height), Image.Resampling.BILINEAR, box=window))


def zoom_slope(
    estimate: Callable[[np.ndarray], float], image: np.ndarray, scales: Sequence[float] = SCALES
) -> tuple[float, np.ndarray]:
    """d(age) / d(log scale) in days by least squares, and the ages at each scale, float (S,).

    Two scales that are each other's inverse give the central difference. An age that is nan, where no head was found
    any more, is left out; with fewer than two ages the slope is nan.

    Args:
        estimate: uint8 (H, W) → days; all that is computed from the image, masks too, is to be computed anew, and what
            does not come from it, such as a pixel size, is to stay as it is.

    Raises:
        InputError: fewer than two different scales, or one out of range.
    """
    if len(set(scales)) < 2:
        raise InputError(f"scales {list(scales)}: a slope takes at least two different ones")
    ages = np.array([float(estimate(rescaled(image, scale))) for scale in scales])
    known = np.isfinite(ages)
    steps = np.log(np.asarray(scales, dtype=float))[known]
    steps = steps - steps.mean() if known.any() else steps
    spread = steps @ steps
    return (float(steps @ (ages - ages[known][0])[known] / spread) if spread > 0 else math.nan), ages
