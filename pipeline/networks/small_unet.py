"""The small U-Net of the evaluation network, the label-budget filter and usefulness, trained from scratch.

Ronneberger et al. 2015 with group normalisation (Wu & He 2018), which does not depend on the batch, and bilinear
upsampling, which leaves no checkerboard. MONAI's BasicUNet is its near twin, but importing MONAI takes longer than most
trainings here.
"""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from pipeline.config.small_unet import SmallUNet as Settings
from pipeline.data.structures import Structure, to_json
from pipeline.networks.weights import load_weights, read_config, save_tensors

GROUPS = 4


class SmallUNet(nn.Module):
    """float [B, 1, S, S] in [-1, 1] → logits [B, n_structures, S, S]; S a multiple of 2 ** (levels - 1).

    Args:
        channels: features of each level, the finest first; multiples of 4.
    """

    def __init__(self, channels: Sequence[int], n_structures: int):
        super().__init__()
        levels = list(pairwise(channels))
        self.stem = _block(1, channels[0])
        self.down = nn.ModuleList(_block(fine, coarse) for fine, coarse in levels)
        self.reduce = nn.ModuleList(nn.Conv2d(coarse, fine, 1) for fine, coarse in reversed(levels))
        self.up = nn.ModuleList(_block(2 * fine, fine) for fine, _ in reversed(levels))
        self.head = nn.Conv2d(channels[0], n_structures, 1)

    def encode(self, images: Tensor) -> list[Tensor]:
        """Features of every level, the finest first."""
        features = [self.stem(images)]
        for block in self.down:
            features.append(block(functional.max_pool2d(features[-1], 2)))
        return features

    def forward(self, images: Tensor) -> Tensor:
        *skips, x = self.encode(images)
        for reduce, block, skip in zip(self.reduce, self.up, reversed(skips), strict=True):
            # A 1x1 convolution and bilinear upsampling commute; this order is the cheaper one.
            x = functional.interpolate(reduce(x), scale_factor=2, mode="bilinear", align_corners=False)
            x = block(torch.cat([skip, x], dim=1))
        return self.head(x)


def _block(inputs: int, outputs: int) -> nn.Sequential:
    layers = []
    for channels in (inputs, outputs):
        convolution = nn.Conv2d(channels, outputs, 3, padding=1)
        layers += [convolution, nn.GroupNorm(GROUPS, outputs), nn.LeakyReLU(0.1, inplace=True)]
    return nn.Sequential(*layers)


def build_unet(channels: Sequence[int], n_structures: int) -> SmallUNet:
    return SmallUNet(channels, n_structures).to(memory_format=torch.channels_last)


def save_unet(
    folder: Path, name: str, network: SmallUNet, params: Settings, structures: Sequence[Structure], trained_on: dict
) -> None:
    about = {
        "architecture": "SmallUNet",
        "channels": list(params.channels),
        "image_size": params.image_size,
        "structures": to_json(structures),
        "trained_on": trained_on,
        "licence": "Apache-2.0; see the licence of the training data",
    }
    save_tensors(folder, name, network.state_dict(), about)


def load_unet(folder: Path, name: str, device) -> tuple[SmallUNet, dict]:
    """The network in evaluation mode, and its configuration.

    Raises:
        InputError: no such network, or weights of another architecture.
    """
    config = read_config(folder, name, "channels", "image_size", "structures")
    network = build_unet(tuple(config["channels"]), len(config["structures"]))
    load_weights(folder, name, network)
    return network.to(device).eval(), config


def bottleneck(network: SmallUNet, images: Tensor) -> Tensor:
    """Mean and standard deviation over space of the deepest features: float [B, 2 * channels[-1]]."""
    deepest = network.encode(images)[-1]
    return torch.cat([deepest.mean(dim=(2, 3)), deepest.std(dim=(2, 3), unbiased=False)], dim=1)
