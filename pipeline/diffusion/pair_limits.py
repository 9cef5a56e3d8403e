"""What a sampled mask of symphysis and head must keep to for its angle of progression to mean anything.

The inferior end of the symphysis is told by the side that the head is on
(:mod:`pipeline.tasks.segmentation.biometry.symphysis`). Were the head pushed across the line of the axis, or the
picture turned over, the ends would change places and the angle with them. So the axis, inferior to superior, may not
turn away from that of the labels.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from pipeline.imaging.moments import semi_axes
from pipeline.run.errors import InputError
from pipeline.tasks.segmentation.biometry.progression import Progression
from pipeline.tasks.segmentation.pair import Pair

SPREADS = 3.0
"""A draw may lie this many standard deviations from the labels' mean, or as far as any label."""
DESCRIBED = ("angle of progression", "turn", "length of the symphysis", "shape of the symphysis", "shape of the head")
LEEWAY = np.array([5.0, 5.0, 2.0, 0.05, 0.05])
"""How far beyond that all the same, by ``DESCRIBED``: what the pixel grid and the description of outlines change."""
GAP_KEPT = 0.5
"""Share of the labels' smallest distance between symphysis and head that a draw keeps. Of ten labels it is far above
that of all: a larger share would refuse the larger angles more often, where the head comes near."""
TOUCHING = 1.5
"""Distance of pixel centres below which two regions touch, across a corner too."""


@dataclass(frozen=True)
class PairLimits:
    """Of N labels at one canvas size.

    pair: class indices. direction: (2,), unit vector, the labels' mean axis from the inferior to the superior end.
    low, high: float (5,) of ``DESCRIBED``: degrees, degrees from ``direction``, pixels, and ratios of axes.
    gap: least distance between the structures in pixels. rim: (2,), most pixels of each along the edge of the canvas.
    mean, sd: of the labels' angles in degrees.
    """

    pair: Pair
    direction: np.ndarray
    low: np.ndarray
    high: np.ndarray
    gap: float
    rim: np.ndarray
    mean: float
    sd: float

    def fault(self, parts: np.ndarray, mask: np.ndarray, valid: np.ndarray) -> tuple[str | None, Progression | None]:
        """Why a draw is refused, None where it is not, and its measurement as far as there is one.

        Args:
            parts: bool (K, S, S), the structures drawn, each by itself. mask: uint8 (S, S), what became of them.
            valid: bool (S, S), where the canvas holds the image.
        """
        if (parts[self.pair.symphysis - 1] & parts[self.pair.head - 1]).any():
            return "the head overlaps the symphysis", None
        if (rim_pixels(mask, valid, self.pair) > self.rim).any():
            return "cut off by the frame", None
        found = self.pair.measure(mask)
        if found.failure is not None:
            return str(found.failure), None
        if found.axis.direction @ self.direction <= 0:
            return "the head is on the other side of the symphysis", found
        if gap(mask, self.pair) < self.gap:
            return "symphysis and head touch", found
        values = _described(found, mask, self.pair, self.direction)
        outside = np.flatnonzero((values < self.low) | (values > self.high))
        return (f"{DESCRIBED[outside[0]]} unlike the labels'" if outside.size else None), found


def fit_limits(masks: Sequence[np.ndarray], valid: Sequence[np.ndarray], pair: Pair) -> PairLimits:
    """The limits that N masks, uint8 (S, S), set; ``valid`` as in :meth:`PairLimits.fault`, one a mask.

    Raises:
        InputError: the angle of progression can be measured in fewer than two of them.
    """
    measured = [(mask, inside, pair.measure(mask)) for mask, inside in zip(masks, valid, strict=True)]
    known = [one for one in measured if one[-1].failure is None]
    if len(known) < 2:
        why = next((f" ({one[-1].failure})" for one in measured if one[-1].failure), "")
        raise InputError(
            f"a shape model of symphysis and head needs two labels with an angle of progression, {len(known)} of "
            f"{len(masks)} have one at {len(masks[0])} px{why}; raise grid.labels or views.image_size, or set "
            "sample.masks.shape_model to 0 and remove sample.masks.angles"
        )
    direction = np.sum([found.axis.direction for _, _, found in known], axis=0)
    direction = direction / np.linalg.norm(direction)
    values = np.array([_described(found, mask, pair, direction) for mask, _, found in known])
    mean, sd = values.mean(axis=0), values.std(axis=0, ddof=1)
    nearest = min(gap(mask, pair) for mask, _, _ in known)
    return PairLimits(
        pair,
        direction,
        low=np.minimum(values.min(axis=0), mean - SPREADS * sd) - LEEWAY,
        high=np.maximum(values.max(axis=0), mean + SPREADS * sd) + LEEWAY,
        gap=min(nearest, max(GAP_KEPT * nearest, TOUCHING)),
        rim=np.max([rim_pixels(mask, inside, pair) for mask, inside, _ in known], axis=0),
        mean=float(mean[0]),
        sd=float(sd[0]),
    )


def keeps_pair(pair: Pair | None, parent: np.ndarray, valid: np.ndarray) -> Callable[[np.ndarray], bool]:
    """What is asked of a warp of ``parent``, integer (H, W), for :func:`pipeline.imaging.warp.plausible_warp`: of
    sampled masks and of the warped control alike.

    Args:
        pair: None where there is no pair; then nothing is asked. valid: bool (H, W), as in :func:`breaks_pair`.
    """
    return lambda warped: pair is None or not breaks_pair(warped, parent, valid, pair)


def breaks_pair(warped: np.ndarray, parent: np.ndarray, valid: np.ndarray, pair: Pair) -> bool:
    """Whether a warp took the angle from its parent: not to be measured, the axis turned over, the structures brought
    to touch, or more of one cut off by the frame. False where the parent itself has no angle.

    Args:
        warped, parent: integer (S, S). valid: bool (S, S), where the canvas holds the image.
    """
    before = pair.measure(parent)
    if before.failure is not None:
        return False
    if (rim_pixels(warped, valid, pair) > rim_pixels(parent, valid, pair)).any():
        return True
    after = pair.measure(warped)
    if after.failure is not None or after.axis.direction @ before.axis.direction <= 0:
        return True
    return gap(warped, pair) < TOUCHING <= gap(parent, pair)


def gap(mask: np.ndarray, pair: Pair) -> float:
    """Least distance in pixels between the centres of a pixel of the symphysis and one of the head, both there."""
    return float(ndimage.distance_transform_edt(mask != pair.head)[mask == pair.symphysis].min())


def rim_pixels(mask: np.ndarray, valid: np.ndarray, pair: Pair) -> np.ndarray:
    """int (2,): pixels of symphysis and head along the edge of what the canvas holds of the image."""
    rim = valid & ~ndimage.binary_erosion(valid)
    return np.array([np.count_nonzero(rim & (mask == index)) for index in (pair.symphysis, pair.head)])


def _described(found: Progression, mask: np.ndarray, pair: Pair, direction: np.ndarray) -> np.ndarray:
    (x, y), (along, across) = found.axis.direction, direction
    turn = np.degrees(np.arctan2(along * y - across * x, along * x + across * y))
    ratios = [np.divide(*semi_axes(mask == index)[::-1]) for index in (pair.symphysis, pair.head)]
    return np.array([found.aop_deg, turn, found.axis.length_px, *ratios])
