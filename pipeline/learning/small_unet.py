"""Training of the small U-Nets: evaluation network, label-budget filter, and the networks of usefulness."""

from collections.abc import Callable, Sequence

import torch

from pipeline.config.augmentation import Augment
from pipeline.config.small_unet import SmallUNet as Settings
from pipeline.data.case import Case
from pipeline.data.stacking import stack_images, stack_masks
from pipeline.learning.recipe import Recipe
from pipeline.learning.segmentation import ImagePool, fit
from pipeline.networks.small_unet import SmallUNet, build_unet


def train_small_unet(
    cases: Sequence[Case],
    settings: Settings,
    augmentation: Augment,
    *,
    key: str,
    n_structures: int,
    seed: int,
    device,
    on_step: Callable[[int, float], None],
) -> SmallUNet:
    """A small U-Net trained on labelled cases from random weights, which are a function of ``seed``.

    Args:
        key: the parameter section of ``settings``, for messages.
    """
    torch.manual_seed(seed)
    size = settings.image_size
    pool = ImagePool(stack_images(cases, size), stack_masks(cases, size), augmentation)
    network = build_unet(settings.channels, n_structures)
    return fit(
        network, pool, Recipe.of(settings, key), n_structures=n_structures, seed=seed, device=device, on_step=on_step
    )
