"""The shape model of symphysis and head: draws that keep apart and on their sides, and draws of an angle asked for.

Positions, sizes and outlines of both structures are one Gaussian vector (:mod:`pipeline.diffusion.shape_model`), so
they vary together as in the labels. What the Gaussian draws beyond that is rejected (:mod:`pair_limits`). An angle is
asked for by a move of the drawn vector along the labels' regression on the angle, which is what changes with it.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.diffusion.angle_bands import Band
from pipeline.diffusion.pair_limits import PairLimits, fit_limits
from pipeline.diffusion.shape_model import (
    MAX_TRIES,
    SECTOR_DIMENSIONS,
    ShapeModel,
    complete_masks,
    fit_shape_model,
    outlined,
    sector_vector,
    shape_vector,
)
from pipeline.run.errors import InputError
from pipeline.tasks.segmentation.pair import Pair

_MOVES = 4


@dataclass(frozen=True)
class PairShapes:
    """model: of all structures. limits: of the pair. slope: float (D,), change of the vector with a degree of angle."""

    model: ShapeModel
    limits: PairLimits
    slope: np.ndarray

    def sample(
        self, size: int, valid: Sequence[np.ndarray], rng: np.random.Generator, band: Band | None = None
    ) -> tuple[np.ndarray, int, float]:
        """One uint8 (size, size) mask, the index of the label whose canvas and sector it takes, and its angle.

        Args:
            valid: bool (size, size) per label: where its canvas holds the image.
            band: of angles that the mask must have; None for as the labels have them.

        Raises:
            InputError: no angle of the band is plausible, or a hundred draws in a row were refused, with why.
        """
        refused = Counter()
        for _ in range(MAX_TRIES):
            vector = self.model.vector(rng)
            target = None if band is None else band.draw(*self._angles, rng)
            for _ in range(1 if band is None else _MOVES):
                fault, placed, angle = self._drawn(vector, size, valid)
                if angle is None or target is None or band.holds(angle):
                    break
                vector = vector + self.slope * (target - angle)
            if fault is None and (band is None or band.holds(angle)):
                return *placed, angle
            refused[fault or "another angle"] += 1
        reasons = ", ".join(f"{count} {reason}" for reason, count in refused.most_common())
        asked = "" if band is None else f" with an angle of progression {band.words}"
        remedy = "set sample.masks.shape_model to 0" if band is None else "lower its share in sample.masks.angles"
        raise InputError(
            f"the shape model found no plausible mask of symphysis and head{asked} in {MAX_TRIES} draws ({reasons}); "
            f"raise grid.labels, or {remedy}"
        )

    @property
    def _angles(self) -> tuple[float, float, float, float]:
        return self.limits.mean, self.limits.sd, float(self.limits.low[0]), float(self.limits.high[0])

    def _drawn(self, vector: np.ndarray, size: int, valid: Sequence[np.ndarray]):
        """Fault or None, mask and index as far as they are plausible, and the angle as far as it can be measured."""
        parts = outlined(vector[:-SECTOR_DIMENSIONS], self.model.n_structures, size)
        mask = np.zeros((size, size), np.uint8)
        for k, part in enumerate(parts):
            mask[part] = k + 1
        placed = self.model.placed(mask, vector, valid)
        if placed is None:
            return "of another area than the labels', or outside the image", None, None
        fault, found = self.limits.fault(parts, placed[0], valid[placed[1]])
        return fault, placed, None if found is None else found.aop_deg


def fit_pair_shapes(
    masks: Sequence[np.ndarray],
    n_structures: int,
    sectors: Sequence[np.ndarray],
    valid: Sequence[np.ndarray],
    pair: Pair,
) -> PairShapes:
    """Fit to uint8 (S, S) masks, and the bool (S, S) sectors and valid parts of their canvases.

    Raises:
        InputError: fewer than two masks hold all structures, or have an angle.
    """
    limits, model = fit_limits(masks, valid, pair), fit_shape_model(masks, n_structures, sectors)
    angles = np.array([pair.angle(mask) for mask in masks])
    known = [i for i in complete_masks(masks, n_structures) if np.isfinite(angles[i])]
    vectors = np.array([[*shape_vector(masks[i], n_structures), *sector_vector(sectors[i])] for i in known])
    return PairShapes(model, limits, _slope(vectors, angles[known]) if len(known) > 1 else 0 * model.mean)


def _slope(vectors: np.ndarray, angles: np.ndarray) -> np.ndarray:
    """Of the regression of vectors, float (N, D), on angles, (N,): float (D,); 0 where all angles are one."""
    away = angles - angles.mean()
    spread = away @ away
    return away @ (vectors - vectors.mean(axis=0)) / spread if spread > 0 else 0 * vectors[0]
