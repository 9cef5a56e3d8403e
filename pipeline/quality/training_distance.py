"""Distance to training images: do synthetic images repeat those that their generator was shown?

Distances are those of :mod:`pipeline.quality.neighbours`. Every number is read against real images that the generator
was not shown: those are new by definition.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from pipeline.quality.neighbours import nearest

COPY_RATIO = 0.4
"""A sample closer to an image shown than this share of unseen images' median distance is flagged as its copy.

On 400 HC18 cases at 64 px the closest of 120 unseen images lies at 0.49 of that median (two consecutive recordings that
may well be one woman's), copies with noise of 10 grey levels at 0.17 at most, and copies that were mirrored, shifted,
darkened and given noise of 15 levels at 0.21 (median).
"""


class TrainingDistance(NamedTuple):
    """distance, nearest: of each synthetic image to the closest image shown, and which one that is.

    unseen, nearest_unseen: the same of real unseen images.
    authentic, authentic_unseen: bool, of each synthetic and of each unseen image.
    """

    distance: np.ndarray
    nearest: np.ndarray
    unseen: np.ndarray
    nearest_unseen: np.ndarray
    authentic: np.ndarray
    authentic_unseen: np.ndarray

    @property
    def copies(self) -> np.ndarray:
        """bool (N,): the synthetic images that are flagged as copies."""
        return self.distance < copy_threshold(self.unseen)


def training_distance(
    synthetic: np.ndarray, shown: np.ndarray, unseen: np.ndarray, patients: Sequence[str]
) -> TrainingDistance:
    """Compare descriptors, each (count, 64, 64).

    A sample is authentic (Alaa et al. 2022, section 3) when it is farther from its nearest image shown than that image
    is from the nearest image of another patient: of images drawn from one distribution about half are.

    Args:
        patients: of each image shown.
    """
    own, new = nearest(synthetic, shown), nearest(unseen, shown)
    names = np.array(patients)
    apart = nearest(shown, shown, names[:, None] == names[None]).distance
    authentic, authentic_unseen = (found.distance > apart[found.nearest] for found in (own, new))
    return TrainingDistance(own.distance, own.nearest, new.distance, new.nearest, authentic, authentic_unseen)


def copy_threshold(unseen: np.ndarray) -> float:
    """Distance below which an image is flagged as a copy, from the distances of real images that were not shown."""
    return float(COPY_RATIO * np.median(unseen))


def membership(shown: np.ndarray, unseen: np.ndarray, synthetic: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A distance-based membership-inference attack (Chen et al. 2020, GAN-Leaks, the full black box).

    The attacker has the synthetic images, and holds a real image for a training image the closer its nearest synthetic
    one lies. Masks are warped from training masks, so shapes alone give it an edge.

    Args:
        shown, unseen, synthetic: descriptors, (count, 64, 64).

    Returns:
        The attacker's scores of all real images, and bool: which of them were shown. Their AUC is 0.5 for no leak.
    """
    scores = -nearest(np.concatenate([shown, unseen]), synthetic).distance
    return scores, np.arange(len(scores)) < len(shown)
