"""Contour imprint: has the generator drawn the outline of the mask into the image?

A mask-conditioned generator may learn to leave a thin bright or dark rim exactly along the mask's edge, the more so
where it sees a drawn contour. A segmenter then learns to find the rim, not the head. A rim differs from a skull in
two ways: it stands out from both sides within two pixels, and it has one grey level all around, where a skull is
bright across the beam, faint along it, and now inside, now outside the annotated line.

What it misses: at 64 and 128 pixels a half-transparent dark rim, which only cancels the skull it is drawn on, and most
rims so faint that they keep the skull's texture (of 40 grey levels added, 12 % were found at 64 pixels, 35 % at 128,
91 % at 256). What it may flag: a small real head whose skull is a thin bright ring all around. So read the share of
flagged images beside that of real unseen ones.
"""

import numpy as np
from scipy import ndimage

from pipeline.config.quality import MIN_REAL
from pipeline.imaging.outline import outline
from pipeline.run.errors import InputError

REACH_PX = 2
"""Distance on either side at which a rim one or two pixels wide is over."""
SPREADS = 3.0
"""An imprint lies this many spreads, from the median to the 90th percentile of real images, above their median.

Measured on 400 HC18 images, means over 200 random splits of the patients into reference and tested: of real images
0.4 % flagged at 64 and 128 pixels and 1.3 % at 256 (2.9 % or less in 19 splits of 20) with 60 to 200 references,
at most 1.9 % with 30; of half-transparent one-pixel rims 40 grey levels brighter than their surroundings 70, 80 and
98 % found at 64, 128 and 256 pixels, of rims 80 levels brighter at least 97 %. A factor on the 99th percentile does no
better and sways more with few references.
"""
_MIN_POINTS = 12
# Grey levels: keeps a line of one level, or an image of one level, from dividing by nothing.
_FLOOR = 2.0
_PADDING = 8


def imprints(image: np.ndarray, mask: np.ndarray, n_structures: int) -> np.ndarray:
    """How much of a rim follows the outline of each structure, float (n_structures,).

    For each pixel of the outline (:func:`pipeline.imaging.outline.outline`) the rise of its grey level above the
    higher, or its fall below the lower, of the two levels ``REACH_PX`` away along the normal is taken, rises positive.
    The score is the mean's size in units of the standard deviation of the levels along the outline, times the evenness
    of the outline: the same deviation along the two neighbouring lines over its own. A step in grey level is no rim.

    Args:
        image: uint8 (H, W).
        mask: uint8 (H, W), class indices, 0 is background.

    Returns:
        Without unit, at least 0; nan for an absent structure, and where the outline has fewer than 12 pixels clear of
        the image's border. What is normal depends on the structure and on the resolution, as a skull is itself two
        pixels wide at 64: compare real images of the same size (:func:`imprinted`).
    """
    present = (mask == structure for structure in range(1, n_structures + 1))
    return np.array([_imprint_one(image, inside) if inside.any() else np.nan for inside in present])


def largest(scores: np.ndarray) -> np.ndarray:
    """float (N,), of scores (N, K) the largest over structures; nan where there is none."""
    filled = np.where(np.isfinite(scores), scores, -np.inf).max(axis=1)
    return np.where(np.isfinite(filled), filled, np.nan)


def imprinted(scores: np.ndarray, real_scores: np.ndarray) -> np.ndarray:
    """bool (N,): images with a rim along one structure or more; what is normal along each, real images of it say.

    A score counts that lies ``SPREADS`` spreads above the median of real images of the same size; nan does not. A
    structure that too few real images show clearly is not judged where another one is.

    Args:
        scores: float (N, K) of :func:`imprints`.
        real_scores: float (M, K); nan is left out.

    Below 30 real scores the share of false alarms has not been measured.

    Raises:
        InputError: fewer than 10 real scores of every structure.
    """
    counts = np.isfinite(real_scores).sum(axis=0)
    judged = np.flatnonzero(counts >= min(MIN_REAL, counts.max()))
    return np.any([_far_above(scores[:, k], real_scores[:, k]) for k in judged], axis=0)


def _far_above(scores: np.ndarray, real_scores: np.ndarray) -> np.ndarray:
    known = real_scores[np.isfinite(real_scores)]
    if len(known) < MIN_REAL:
        raise InputError(
            f"a contour imprint is judged by at least {MIN_REAL} real images with masks, got {len(known)}; add some "
            "to the train split"
        )
    median, high = np.percentile(known, [50, 90])
    return np.nan_to_num(scores, nan=-np.inf) > median + SPREADS * (high - median)


def _imprint_one(image: np.ndarray, inside: np.ndarray) -> float:
    (sides,) = ndimage.find_objects(inside.astype(np.uint8))
    box = tuple(slice(max(0, side.start - _PADDING), side.stop + _PADDING) for side in sides)
    inner, line, outer = _levels_across(image[box].astype(np.float64), inside[box])
    if len(line) < _MIN_POINTS:
        return np.nan
    rise = np.maximum(line - np.maximum(inner, outer), 0) - np.maximum(np.minimum(inner, outer) - line, 0)
    unevenness = line.std() + _FLOOR
    evenness = ((inner.std() + outer.std()) / 2 + _FLOOR) / unevenness
    return float(abs(rise.mean()) / unevenness * evenness)


def _levels_across(levels: np.ndarray, inside: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """float (P,) each: grey levels ``REACH_PX`` inside, on and ``REACH_PX`` outside the outline, bilinear.

    Pixels of the outline whose normal leaves the image are left out.
    """
    distance = ndimage.distance_transform_edt(~inside) - ndimage.distance_transform_edt(inside)
    # Without smoothing the normals of a pixel staircase point in eight directions only.
    normals = np.stack(np.gradient(ndimage.gaussian_filter(distance, 1.5)))
    normals /= np.maximum(np.hypot(*normals), 1e-9)
    points = np.stack(np.nonzero(outline(inside)))
    steps = REACH_PX * normals[:, *points]
    last = np.array(levels.shape)[:, None] - 1
    clear = np.all([(at >= 0) & (at <= last) for at in (points - steps, points + steps)], axis=(0, 1))
    points, steps = points[:, clear], steps[:, clear]
    return tuple(
        ndimage.map_coordinates(levels, at, order=1, mode="nearest") for at in (points - steps, points, points + steps)
    )
