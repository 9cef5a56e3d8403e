"""Image and mask as one RGB image, and back: the joint representation of the reference method (arXiv 2506.23664).

As in the code published with that paper, the grey image fills the first channels and the outline of a structure is
drawn in a channel of its own, from blue on: (image, image, outline). The image under the line survives that way, where
a line painted over the image would hide the skull. A second structure takes the green channel.
"""

import numpy as np
from scipy import ndimage

from pipeline.config.diffusion import MAX_CONTOURS
from pipeline.run.errors import InputError

_LEVEL = 127
"""A contour channel above this grey level is line."""
_NEIGHBOURS = np.ones((3, 3), dtype=bool)


def check_structures(n_structures: int) -> None:
    """Raises InputError for more structures than an RGB image has channels to spare."""
    if n_structures > MAX_CONTOURS:
        raise InputError(
            f"key 'diffusion.variant' is 'reference', which draws at most {MAX_CONTOURS} structures, and the "
            f"cohort has {n_structures}; use 'controlnet'"
        )


def line_width(size: int) -> int:
    """Pixels; a line much thinner than one latent of a Stable Diffusion VAE (8 pixels) does not survive it."""
    return max(1, size // 128)


def draw_contours(grey: np.ndarray, mask: np.ndarray, n_structures: int) -> np.ndarray:
    """The joint image, uint8 (S, S, 3), of a uint8 (S, S) image and a uint8 (S, S) mask of class indices."""
    joint = np.repeat(grey[..., None], 3, axis=2)
    for k in range(n_structures):
        joint[..., 2 - k] = 255 * _contour_line(mask == k + 1, line_width(len(mask)))
    return joint


def decode_contours(joint: np.ndarray, n_structures: int) -> tuple[np.ndarray, np.ndarray | None]:
    """Image and mask of a uint8 (S, S, 3) joint image.

    Returns:
        The uint8 (S, S) image, without the contour channels, and the uint8 (S, S) mask; None for the mask when no
        contour is closed or when a structure has a line but no closed one. Smaller regions lie over larger ones.
    """
    grey = np.rint(joint[..., : 3 - n_structures].mean(axis=2)).astype(np.uint8)
    regions = [_enclosed(joint[..., 2 - k] > _LEVEL) for k in range(n_structures)]
    if any(region is None for region in regions) or not any(region.any() for region in regions):
        return grey, None
    mask = np.zeros(grey.shape, dtype=np.uint8)
    for k in sorted(range(n_structures), key=lambda k: -np.count_nonzero(regions[k])):
        mask[regions[k]] = k + 1
    return grey, mask


def _contour_line(inside: np.ndarray, width: int) -> np.ndarray:
    """The outermost pixels of a region, so that the filled line is the region; holes are not outlined."""
    whole = ndimage.binary_fill_holes(inside)
    return whole & ~ndimage.binary_erosion(whole, iterations=width)


def _enclosed(line: np.ndarray) -> np.ndarray | None:
    """The region inside and on closed lines; empty without a line, None if there is a line and none is closed."""
    width = line_width(len(line))
    # Gaps up to the width of the line are the VAE's, not the contour's.
    bridged = ndimage.binary_closing(np.pad(line, width), iterations=width)[width:-width, width:-width]
    labels, _ = ndimage.label(bridged, structure=_NEIGHBOURS)
    region = np.zeros(line.shape, dtype=bool)
    for i, window in enumerate(ndimage.find_objects(labels), start=1):
        blob = labels[window] == i
        whole = ndimage.binary_fill_holes(blob)
        # A blob with a pinhole is no contour.
        if 4 * np.count_nonzero(whole & ~blob) >= np.count_nonzero(blob):
            region[window] |= whole
    stray = len(line) // 4 * width
    return None if not region.any() and np.count_nonzero(line) > stray else region
