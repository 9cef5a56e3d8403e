"""Radiomics: interpretable features of grey levels and texture, and a Fréchet distance in them.

No network and no weights: every feature has a name and a formula, so a distance can be taken apart
(:func:`most_different`) into "too bright", "too smooth", "wrong grain".
"""

import numpy as np
from scipy import ndimage
from skimage.feature import graycomatrix, graycoprops, local_binary_pattern

GREY_LEVELS = 32
"""Equal bins of [0, 255] for entropy and co-occurrence, fixed so that a shift of the grey levels is seen."""
MIN_PIXELS = 16
"""An area with fewer pixels whose eight neighbours belong to it has no features."""
_PATTERN_SHIFT = 2

PERCENTILES = (10, 50, 90)
_FIRST_ORDER = ("mean", "std", "skewness", "kurtosis", "entropy", *(f"percentile_{p}" for p in PERCENTILES))
_GLCM = ("contrast", "dissimilarity", "homogeneity", "energy", "correlation", "entropy")
# Uniform patterns of eight neighbours: 0 to 8 of them brighter, in one arc; the last bin takes every other pattern.
_LBP = (*(f"uniform_{brighter}" for brighter in range(9)), "other")
_PER_AREA = (
    *(f"first_order.{name}" for name in _FIRST_ORDER),
    *(f"glcm.{name}" for name in _GLCM),
    *(f"lbp.{name}" for name in _LBP),
)
FEATURES: tuple[str, ...] = tuple(f"{area}.{name}" for area in ("head", "image") for name in _PER_AREA)
"""Names of the F features, in the order of :func:`radiomics`."""


def radiomics(image: np.ndarray, region: np.ndarray) -> np.ndarray:
    """float64 (F,) features of one image, named by ``FEATURES``; first those of the head, then of the whole image.

    first_order: grey levels in [0, 255]; skewness and excess kurtosis (0 for an area of one grey level); entropy in
    bits over 32 bins. glcm: Haralick features (Haralick et al., 1973) of symmetric co-occurrence matrices of 32 grey
    levels, averaged over 4 directions and Chebyshev distances 1 and 2; only pairs with both pixels in the area count;
    entropy in nats. lbp: shares of the rotation-invariant uniform patterns, P = 8, R = 1 (Ojala et al., 2002), over the
    pixels whose whole neighbourhood lies in the area. Nothing outside the region changes the features of the head.

    Args:
        image: uint8 (H, W), without the padding of a letter-box.
        region: bool (H, W), the head; empty where it is not known.

    Returns:
        The head's features are nan for no region or one too small; the image's are nan for an image too small.
    """
    # Steps of one or two grey levels are noise in what everyone sees as black, and would rule the patterns there.
    patterns = local_binary_pattern(image >> _PATTERN_SHIFT, P=8, R=1, method="uniform").astype(np.uint8)
    everywhere = np.ones(image.shape, dtype=bool)
    return np.concatenate([_area(image, patterns, region), _area(image, patterns, everywhere)])


def _area(image: np.ndarray, patterns: np.ndarray, region: np.ndarray) -> np.ndarray:
    missing = np.full(len(_PER_AREA), np.nan)
    if not region.any():
        return missing
    box = ndimage.find_objects(region.astype(np.uint8), max_label=1)[0]
    image, patterns, region = image[box], patterns[box], region[box]
    interior = ndimage.binary_erosion(region, np.ones((3, 3), dtype=bool))
    if interior.sum() < MIN_PIXELS:
        return missing
    histogram = np.bincount(patterns[interior], minlength=len(_LBP))
    return np.concatenate([_first_order(image[region]), _glcm(image, region), histogram / histogram.sum()])


def _first_order(pixels: np.ndarray) -> np.ndarray:
    """All from the histogram: exact for 8 bits, and one pass over the pixels."""
    counts = np.bincount(pixels, minlength=256)
    share, levels = counts / counts.sum(), np.arange(256)
    mean = share @ levels
    variance, third, fourth = (share @ (levels - mean) ** power for power in (2, 3, 4))
    flat = variance < 1e-9
    shape = (0.0, 0.0) if flat else (third / variance**1.5, fourth / variance**2 - 3)
    binned = share.reshape(GREY_LEVELS, -1).sum(axis=1)
    binned = binned[binned > 0]
    percentiles = np.searchsorted(np.cumsum(counts), np.array(PERCENTILES) / 100 * len(pixels))
    return np.array([mean, 0.0 if flat else np.sqrt(variance), *shape, -binned @ np.log2(binned), *percentiles])


def _glcm(image: np.ndarray, region: np.ndarray) -> np.ndarray:
    # Level 0 stands for "outside": its row and column hold every pair that leaves the region.
    levels = np.where(region, image // (256 // GREY_LEVELS) + 1, 0).astype(np.uint8)
    right, diagonal = [0, np.pi / 2], [np.pi / 4, 3 * np.pi / 4]
    # Diagonal neighbours are √2 apart; scikit-image rounds distance 2 along them to the same pixel as distance 1.
    pairs = np.concatenate(
        [
            graycomatrix(levels, distances, angles, levels=GREY_LEVELS + 1)[1:, 1:].reshape(GREY_LEVELS, GREY_LEVELS, 4)
            for distances, angles in (([1, 2], right), ([2**0.5, 2 * 2**0.5], diagonal))
        ],
        axis=2,
    )
    symmetric = (pairs + pairs.transpose(1, 0, 2))[..., None]
    return np.array([graycoprops(symmetric, name).mean() for name in _GLCM])
