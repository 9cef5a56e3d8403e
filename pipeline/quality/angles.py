"""Angles of progression of a synthetic set: are those of its masks spread as real ones, and do its images obey them?

The evaluation network reads the angle from an image; its error on real unseen images is the best that could be
expected.
"""

from collections.abc import Mapping

import numpy as np
from scipy.stats import wasserstein_distance

from pipeline.diffusion.angle_bands import RARE
from pipeline.quality.intervals import End, mean_measure, statistic_measure
from pipeline.quality.measurement import Measured
from pipeline.quality.measures import CATALOGUE, Measure

LEAST = 4
"""Angles, below which a set has no distance: half of it has none to resample."""


def angle_measures(
    sets: Mapping[str, Measured], labels: np.ndarray, real: str, resamples: int, seed: int
) -> list[Measure]:
    """Distances and shares of the masks' angles, and the error of the angles read from the images.

    Args:
        sets: ``synthetic``, ``reference`` and ``unseen``. labels: bool (M,), which of the reference the set was made
            from. real: what the unseen images are called.
    """
    synthetic, unseen, reference = (sets[name] for name in ("synthetic", "unseen", "reference"))
    found = [
        _distance(view, synthetic.angle, unseen.angle, others, real, resamples, seed)
        for view, others in (("train_split", reference.angle), ("own_labels", reference.angle[labels]))
    ]
    for band in RARE:
        shares = [
            np.array([band.holds(x) if np.isfinite(x) else np.nan for x in one.angle]) for one in (synthetic, unseen)
        ]
        found.append(mean_measure(f"aop_{band.name}", shares[0], seed, (_mean(shares[1]), real), (None, None)))
    own, best = (np.abs(one.found_angle - one.angle) for one in (synthetic, unseen))
    worst = np.abs(synthetic.found_angle - np.roll(synthetic.angle, 1))
    ends = (_mean(best), "the evaluation network on real images"), (_mean(worst), "the mask of another image")
    found.append(mean_measure("aop_error", own, seed, *ends, spread=True))
    lost = [np.isnan(one.found_angle[np.isfinite(one.angle)]).astype(float) for one in (synthetic, unseen)]
    found.append(mean_measure("aop_unread", lost[0], seed, (_mean(lost[1]), real), (1.0, "every image")))
    return found


def _distance(
    view: str, own: np.ndarray, unseen: np.ndarray, others: np.ndarray, real: str, resamples: int, seed: int
) -> Measure:
    """Wasserstein-1 distance in degrees of the set's angles from others; its floor is that of real unseen ones."""
    own, unseen, others = (values[np.isfinite(values)] for values in (own, unseen, others))
    best = worst = None
    if len(others):
        best = float(wasserstein_distance(unseen, others)) if len(unseen) else None
        worst = float(wasserstein_distance([np.median(others)], others))
    ends: tuple[End, End] = (best, real), (worst, "their median for every mask")
    if len(own) < LEAST or not len(others):
        return Measure(CATALOGUE["aop_distance"][2], "aop_distance", view, None, len(own), *ends[0], *ends[1])

    def distance(rows: np.ndarray) -> float:
        return float(wasserstein_distance(own[rows], others))

    return statistic_measure("aop_distance", distance, len(own), seed, resamples, *ends, view)


def _mean(values: np.ndarray) -> float | None:
    known = values[np.isfinite(values)]
    return float(known.mean()) if known.size else None
