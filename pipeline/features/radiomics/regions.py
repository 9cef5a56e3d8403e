"""The regions of an image that radiomics describes: the head, a ring along its outline, the sector and the image."""

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

from pipeline.config.binning import FixedBinNumber, FixedBinWidth
from pipeline.features.radiomics import FEATURES, radiomics
from pipeline.imaging.field_of_view import field_of_view
from pipeline.imaging.moments import bounding_window
from pipeline.run.errors import InputError

REGIONS = ("mask", "ring", "sector", "image")
RING_WIDTH = 0.2
"""Width of the ring, half of it inside and half outside, in radii of the circle that has the area of the mask; 2 pixels
at least. It holds the skull, which is drawn at the edge, and what lies directly on either side."""


def region_features(regions: Sequence[str] = REGIONS, features: Sequence[str] = FEATURES) -> tuple[str, ...]:
    """Names such as ``ring.glcm.contrast``, in the order of :func:`region_radiomics`."""
    return tuple(f"{region}.{name}" for region in regions for name in features)


def region_radiomics(
    image: np.ndarray,
    mask: np.ndarray | None,
    binning: FixedBinWidth | FixedBinNumber,
    regions: Sequence[str] = REGIONS,
) -> np.ndarray:
    """float64 (R F,): :func:`radiomics` of each of R regions, nan where the region is empty.

    Args:
        image: uint8 (H, W), without the padding of a letter-box. mask: see :func:`region`.
    """
    return np.concatenate([radiomics(image, region(image, mask, name), binning) for name in regions])


def region(image: np.ndarray, mask: np.ndarray | None, name: str) -> np.ndarray:
    """bool (H, W): one of ``REGIONS``.

    mask: the head, given or predicted. ring: see :func:`ring`. sector: the field of view, told from the image alone.
    image: every pixel.

    Args:
        image: uint8 (H, W). mask: bool (H, W), or None where there is none: mask and ring are empty then.

    Raises:
        InputError: another name.
    """
    if name not in REGIONS:
        raise InputError(f"region '{name}' has no radiomics; choose among {', '.join(REGIONS)}")
    if name == "sector":
        return field_of_view(image)
    if name == "image":
        return np.ones(image.shape, dtype=bool)
    if mask is None:
        return np.zeros(image.shape, dtype=bool)
    return ring(mask) if name == "ring" else np.asarray(mask, dtype=bool)


def ring(mask: np.ndarray) -> np.ndarray:
    """bool (H, W): pixels within half of ``RING_WIDTH`` of the edge of a bool (H, W) mask, on either side.

    The border of the image is no edge: of a head that it cuts the ring is open. Empty where the mask is, or is all.
    """
    mask = np.asarray(mask, dtype=bool)
    band = np.zeros(mask.shape, dtype=bool)
    if not mask.any() or mask.all():
        return band
    reach = max(1.0, RING_WIDTH / 2 * np.sqrt(mask.sum() / np.pi))
    margin = int(reach) + 2
    box = tuple(slice(max(0, side.start - margin), side.stop + margin) for side in bounding_window(mask))
    inside = mask[box]
    # To the nearest centre of the other kind; the edge lies half a pixel before it.
    distance = ndimage.distance_transform_edt(inside) + ndimage.distance_transform_edt(~inside) - 0.5
    band[box] = distance <= reach
    return band
