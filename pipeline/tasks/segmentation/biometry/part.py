"""The part of a structure that is measured, its notes and its contour to a fraction of a pixel."""

from dataclasses import dataclass

import numpy as np

from pipeline.imaging.moments import bounding_window, largest_component
from pipeline.imaging.outline import outline

SMOOTHING_PX = 1.0
"""Sd of the Gaussian before the contour is taken: it evens out the steps of the pixel grid, and moves the contour of a
disc of radius R inwards by 1 / 2R pixels."""


@dataclass(frozen=True)
class Part:
    """The largest 4-connected component of a structure.

    mask: bool [H, W]. notes: what a reader of the measurement should know of the structure.
    """

    mask: np.ndarray
    notes: tuple[str, ...]

    @property
    def outline_points(self) -> int:
        """How many pixels of the part have a neighbour outside it."""
        return int(np.count_nonzero(outline(self.mask)))


def largest_part(mask: np.ndarray, name: str) -> Part | None:
    """The part of a structure that is measured; None where the mask is empty.

    Args:
        mask: bool [H, W]. name: what the notes call the structure.
    """
    from scipy import ndimage

    if not mask.any():
        return None
    window, notes = bounding_window(mask), []
    if (count := ndimage.label(mask[window])[1]) > 1:
        notes.append(f"{name} in {count} parts, the largest is measured")
    whole = np.zeros(mask.shape, bool)
    whole[window] = largest_component(mask)
    if whole[0].any() or whole[-1].any() or whole[:, 0].any() or whole[:, -1].any():
        notes.append(f"{name} touches the border of the image")
    return Part(whole, tuple(notes))


def contact(one: np.ndarray, other: np.ndarray) -> str | None:
    """``overlap``, ``touch`` (across a corner too), or None where two masks, bool [H, W], lie apart."""
    from scipy import ndimage

    if (one & other).any():
        return "overlap"
    window = tuple(slice(max(side.start - 1, 0), side.stop + 1) for side in bounding_window(one))
    return "touch" if (ndimage.binary_dilation(one[window], np.ones((3, 3))) & other[window]).any() else None


def contour(mask: np.ndarray) -> np.ndarray:
    """The closed outer contour of one component, float (N, 2) as (x, y): pixel centres are whole numbers.

    The level set 1/2 of the smoothed mask (marching squares). Empty where nothing is wide enough to have one.

    Args:
        mask: bool [H, W], one component.
    """
    from scipy import ndimage
    from skimage.measure import find_contours

    margin = 4
    window = bounding_window(mask)
    padded = np.pad(mask[window].astype(np.float64), margin)
    lines = find_contours(ndimage.gaussian_filter(padded, SMOOTHING_PX, mode="constant"), 0.5)
    if not lines:
        return np.empty((0, 2))
    # Holes have contours too, and shorter ones.
    longest = max(lines, key=len)
    return (longest + np.array([window[0].start - margin, window[1].start - margin]))[:, ::-1]
