"""Is a set of use for training? Dice across the gap between synthetic and real, between a ceiling and a blind guess."""

from collections.abc import Mapping

import numpy as np

from pipeline.quality.intervals import mean_measure
from pipeline.quality.measures import Measure
from pipeline.tasks.segmentation.inference import dice as dice_of

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
        blind = float(np.mean(blind_dice(masks[trained], masks[tested], n_structures)))
        worst = blind, "the mean mask for every image"
        measures.append(mean_measure(name, dice[trained, tested], seed, ceiling, worst, spread=True))
    return measures


def blind_dice(known: np.ndarray, tested: np.ndarray, n_structures: int) -> np.ndarray:
    """Dice, float (N,), of the mean of the known masks for every tested one: what needs no look at the image.

    Args:
        known, tested: uint8 (M, S, S) and (N, S, S), class indices.
    """
    guess = np.zeros(known.shape[1:], np.uint8)
    for k in range(1, n_structures + 1):
        guess[(known == k).mean(axis=0) >= 0.5] = k
    return np.array([dice_of(guess, mask, n_structures).mean() for mask in tested])
