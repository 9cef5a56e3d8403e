"""Do images of one mask differ from each other? A generator that has collapsed draws one image per mask."""

from collections.abc import Sequence
from itertools import combinations

import numpy as np
from scipy.spatial.distance import cdist

MS_SSIM_MIN_PX = 192
"""Five scales halve the image four times, and the last one must hold the window of 11 pixels."""


def within_mask_diversity(features: np.ndarray, groups: Sequence) -> float:
    """Mean distance of images of one mask over the mean distance of images of different masks.

    0 when a mask always gives the same image; near 1 when images of one mask differ as much as those of others.

    Args:
        features: float (N, D). groups: N labels, equal for images of one mask; at least two groups, one of two images.
    """
    names = np.asarray(groups)
    distances = cdist(features, features)
    same = names[:, None] == names[None]
    pairs = np.triu(np.ones_like(same), 1)
    return float(distances[same & pairs].mean() / distances[~same & pairs].mean())


def within_mask_ms_ssim(images: Sequence[np.ndarray], groups: Sequence) -> float | None:
    """Mean multi-scale structural similarity (Wang et al. 2003) of pairs of images of one mask; 1 for equal images.

    Args:
        images: N uint8 images; those of one mask are of one size.

    Returns:
        None where an image is smaller than 192 pixels.
    """
    if min(min(image.shape) for image in images) < MS_SSIM_MIN_PX:
        return None
    import torch
    from monai.metrics import MultiScaleSSIMMetric

    metric = MultiScaleSSIMMetric(spatial_dims=2, data_range=255.0)
    pairs = [(i, j) for i, j in combinations(range(len(images)), 2) if groups[i] == groups[j]]
    values = [
        metric(*(torch.from_numpy(images[k].astype(np.float32))[None, None] for k in pair)).item() for pair in pairs
    ]
    return float(np.mean(values))
