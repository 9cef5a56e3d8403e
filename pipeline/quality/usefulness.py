"""Is a set of use for training? Dice across the gap between synthetic and real, between a ceiling and a blind guess."""

from collections.abc import Mapping

import numpy as np

from pipeline.quality.intervals import mean_interval
from pipeline.quality.measures import Measure

SYNTHETIC, LABELS, UNSEEN = "synthetic", "labels", "unseen"


def usefulness_measures(
    dice: Mapping[tuple[str, str], np.ndarray], masks: Mapping[str, np.ndarray], n_structures: int, seed: int
) -> list[Measure]:
    """Two measures, each beside the network of the real labels and one mask for every image.

    Args:
        dice: (trained on, tested on) → float (N,), per image.
        masks: uint8 (N, S, S) of ``synthetic``, ``labels`` and ``unseen``.
    """
    ceiling = float(dice[LABELS, UNSEEN].mean()), f"trained on the {len(masks[LABELS])} real labels, tested on real"
    measures = []
    for name, trained, tested in (("tstr", SYNTHETIC, UNSEEN), ("trts", LABELS, SYNTHETIC)):
        values = dice[trained, tested]
        blind = float(np.mean(blind_dice(masks[trained], masks[tested], n_structures)))
        ends = (*ceiling, blind, "the mean mask for every image")
        limits = mean_interval(values, seed)
        measures.append(
            Measure("usefulness", name, None, float(values.mean()), len(values), *ends, *limits, float(values.std()))
        )
    return measures


def blind_dice(known: np.ndarray, tested: np.ndarray, n_structures: int) -> np.ndarray:
    """Dice, float (N,), of the mean of the known masks for every tested one: what needs no look at the image.

    Args:
        known, tested: uint8 (M, S, S) and (N, S, S), class indices.
    """
    scores = []
    for k in range(1, n_structures + 1):
        guess = (known == k).mean(axis=0) >= 0.5
        found = tested == k
        total = found.sum(axis=(1, 2)) + guess.sum()
        scores.append(np.where(total > 0, 2 * (found & guess).sum(axis=(1, 2)) / np.maximum(total, 1), 1.0))
    return np.mean(scores, axis=0)
