"""Do images of one mask differ from each other? A generator that has collapsed draws one image per mask."""

from collections.abc import Sequence

import numpy as np
from scipy.spatial.distance import cdist


def within_mask_diversity(features: np.ndarray, groups: Sequence) -> float | None:
    """Mean distance of images of one mask over the mean distance of images of different masks.

    0 when a mask always gives the same image; near 1 when images of one mask differ as much as those of others. None
    where no two images have one mask, as when the generator draws the masks itself, or all have.

    Args:
        features: float (N, D). groups: N labels, equal for images of one mask.
    """
    if len(set(groups)) in (1, len(groups)):
        return None
    names = np.asarray(groups)
    distances = cdist(features, features)
    same = names[:, None] == names[None]
    pairs = np.triu(np.ones_like(same), 1)
    return float(distances[same & pairs].mean() / distances[~same & pairs].mean())
