"""A network of three convolutions with the interface of a segmenter, and images of discs."""

import numpy as np
import torch
from torch import nn

from pipeline.config.augmentation import Augment, StrongAugment
from pipeline.learning.segmentation import ImagePool, Segmentation
from pipeline.semi_supervision.views import UnlabelledImages

STILL = {"flip": False, "rotate_deg": 0, "scale": 0, "shift": 0, "brightness": 0, "contrast": 0, "gamma": 0}
WEAK = Augment(**STILL | {"rotate_deg": 10, "gamma": 0.2})
STRONG = StrongAugment(**STILL | {"gamma": 0.4}, probability=0.5, noise=0.1, blur=1, low_resolution=0.5)
SIZE = 16


class Tiny(nn.Module):
    """Two levels of features, one mask a structure."""

    embedding_channels = 8

    def __init__(self, seed: int = 0, n_structures: int = 1):
        super().__init__()
        torch.manual_seed(seed)
        self.fine, self.coarse = nn.Conv2d(1, 8, 3, padding=1), nn.Conv2d(8, 8, 3, padding=1)
        self.head = nn.Conv2d(8, n_structures, 1)

    def encode(self, images):
        fine = torch.tanh(self.fine(images))
        return [fine, torch.tanh(self.coarse(fine))]

    def decode(self, features):
        return self.head(features[0] + features[1])

    def forward(self, images):
        return self.decode(self.encode(images))


class Normed(Tiny):
    """With batch norms, in the encoder and after it."""

    def __init__(self, seed: int = 0, n_structures: int = 1):
        super().__init__(seed, n_structures)
        self.within, self.after = nn.BatchNorm2d(8), nn.BatchNorm2d(8)

    def encode(self, images):
        fine = torch.tanh(self.within(self.fine(images)))
        return [fine, torch.tanh(self.coarse(fine))]

    def decode(self, features):
        return self.head(self.after(features[0] + features[1]))


def discs(count: int, seed: int = 0, size: int = SIZE) -> tuple[np.ndarray, np.ndarray]:
    """uint8 images (N, S, S) with a bright disc, and their masks."""
    rng, (y, x) = np.random.default_rng(seed), np.mgrid[:size, :size]
    at = rng.uniform(0.3 * size, 0.7 * size, (count, 2, 1, 1))
    masks = ((y - at[:, 0]) ** 2 + (x - at[:, 1]) ** 2 < (size / 4) ** 2).astype(np.uint8)
    return (60 + 120 * masks + rng.integers(0, 30, masks.shape)).astype(np.uint8), masks


def labelled(network: nn.Module, count: int = 6, n_structures: int = 1, size: int = SIZE) -> Segmentation:
    images, masks = discs(count, size=size)
    pool = ImagePool(images[:, None].astype(np.float32) / 127.5 - 1, masks, WEAK)
    return Segmentation(network, pool, n_structures, lambda step: range(count))


def unlabelled(count: int = 12, truth: bool = False, size: int = SIZE) -> UnlabelledImages:
    images, masks = discs(count, 1, size)
    return UnlabelledImages(images, masks if truth else None, WEAK, STRONG)
