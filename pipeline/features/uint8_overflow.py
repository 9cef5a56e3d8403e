"""What PyRadiomics 3.0.1 makes of an image of 8 bits under NumPy 2, so that its price can be measured.

``getBinEdges`` of its ``imageoperations.py`` takes the largest grey level of the region, an ``np.uint8``, and adds
twice the bin width. Under NumPy 2 (NEP 50) the sum stays 8 bits and wraps around: of a region with a grey level of 206
or more, at a width of 25, the edges end near 0, and all that is brighter falls into the last bin. The notebook
``PyRadiomics_2D_HC18.ipynb`` of arXiv 2506.20407 (NumPy 2.0.0, bins of 25) prints the warning, "overflow encountered
in scalar add". First-order features other than entropy and uniformity are taken from the grey levels themselves and
are not touched; shape neither.

This module is for that comparison alone. The project's own features of a uint8 image are those of its float copy.
"""

import numpy as np

OPTION = "uint8_overflow"
"""What a run with it is called."""
BIN_WIDTH = 25
_VALUES = 256


def overflowed_levels(image: np.ndarray, region: np.ndarray, bin_width: int = BIN_WIDTH) -> np.ndarray:
    """Grey levels of the region as that version discretises them, int (H, W) from 1, 0 outside.

    A largest grey level of exactly 256 − 2 × ``bin_width`` leaves no edge at all: the library then gives every pixel
    level 0, which no texture matrix has, and here they are one level, 1.

    Args:
        image: uint8 (H, W). region: bool (H, W), not empty. bin_width: at most 128.
    """
    if image.dtype != np.uint8:
        raise ValueError(f"the overflow is of uint8, and the image is {image.dtype}")
    low, high = int(image[region].min()), int(image[region].max())
    low -= low % bin_width
    high = (high + 2 * bin_width) % _VALUES
    # The length of the range is computed in 8 bits too.
    edges = low + bin_width * np.arange(-(-((high - low) % _VALUES) // bin_width))
    if len(edges) == 1:
        edges = edges[0] + np.array([-0.5, 0.5])
    return np.where(region, np.maximum(np.digitize(image, edges), 1), 0)


def overflowed_image(image: np.ndarray, region: np.ndarray, bin_width: int = BIN_WIDTH) -> np.ndarray:
    """uint8 (H, W) whose correct bins of that width, counted from 0, are :func:`overflowed_levels` in the region.

    Texture features, and entropy and uniformity, of it are those of the broken run; other features are to be taken from
    the image itself.
    """
    levels = overflowed_levels(image, region, bin_width)
    return np.where(region, (levels - 1) * bin_width, 0).astype(np.uint8)
