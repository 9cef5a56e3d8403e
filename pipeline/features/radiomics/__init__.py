"""Radiomics: named features of the grey levels, the texture and the shape of a region, in two dimensions.

Names and definitions are those of the Image Biomarker Standardisation Initiative (IBSI; Zwanenburg et al., Radiology
2020, reference manual arXiv:1612.07003), from numpy and scipy, without a network or weights. Texture is that of one
plane: four directions, distance 1, eight neighbours; of matrices by direction the features are averaged ("2D_avg").
"""

import numpy as np

from pipeline.config.binning import FixedBinNumber, FixedBinWidth
from pipeline.features.radiomics import first_order, glcm, glrlm, glszm, histogram, ngldm, ngtdm, shape
from pipeline.features.radiomics.discretisation import discretise
from pipeline.imaging.moments import bounding_window
from pipeline.run.errors import InputError

_FAMILIES = {
    "first_order": first_order.NAMES,
    "histogram": histogram.NAMES,
    "shape": shape.NAMES,
    "glcm": glcm.NAMES,
    "glrlm": glrlm.NAMES,
    "glszm": glszm.NAMES,
    "ngldm": ngldm.NAMES,
    "ngtdm": ngtdm.NAMES,
}
IMPLIED = {
    "glcm.difference_average": "equals glcm.dissimilarity",
    "glcm.sum_average": "twice glcm.joint_average",
    "glcm.sum_variance": "equals glcm.cluster_tendency",
    "ngldm.dependence_count_percentage": "always 1",
}
"""Features that IBSI lists and another one implies, in any image: they are left out of ``FEATURES``."""
_NAMED = [f"{family}.{name}" for family, names in _FAMILIES.items() for name in names]
_KEPT = [place for place, name in enumerate(_NAMED) if name not in IMPLIED]
FEATURES: tuple[str, ...] = tuple(_NAMED[place] for place in _KEPT)
"""Names of the F features, in the order of :func:`radiomics`."""


def radiomics(image: np.ndarray, region: np.ndarray, binning: FixedBinWidth | FixedBinNumber) -> np.ndarray:
    """float64 (F,) features of the region, named by ``FEATURES``; lengths in pixels, entropies in bits.

    Nothing outside the region has an effect, and a uint8 image has exactly the features of its float copy.

    Args:
        image: (H, W) of any integer or float type.
        region: bool (H, W).
        binning: bins of histogram and texture; first-order features are of the grey levels as they are.

    Returns:
        nan for an empty region. Of one pixel, co-occurrence and NGTDM are nan, as it has no neighbour. Of one grey
        level every other feature has a value, which the modules of the families state.

    Raises:
        InputError: image and region of different shapes, a grey level in the region that is not finite, or bins that
            do not fit (see :func:`discretise`).
    """
    image, region = np.asarray(image), np.asarray(region, dtype=bool)
    if image.ndim != 2 or image.shape != region.shape:
        shapes = f"the image has shape {image.shape} and the region {region.shape}"
        raise InputError(f"radiomics needs an image (H, W) and a region of its size; {shapes}")
    if not region.any():
        return np.full(len(FEATURES), np.nan)
    box = bounding_window(region)
    image, region = image[box], region[box]
    values = image[region].astype(np.float64)
    if not np.isfinite(values).all():
        raise InputError("a grey level in the region is not finite; mend the image or leave these pixels out")
    found, count = discretise(values, binning)
    levels = np.zeros(region.shape, dtype=np.uint16)
    levels[region] = found
    families = (
        first_order.features(values),
        histogram.features(found, count),
        shape.features(region),
        *(family.features(levels, count) for family in (glcm, glrlm, glszm, ngldm, ngtdm)),
    )
    return np.concatenate(families)[_KEPT]
