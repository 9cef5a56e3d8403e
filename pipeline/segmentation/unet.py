"""The small U-Net that measures (instrument) and filters (filter): MONAI's BasicUNet, trained from scratch."""

from pathlib import Path

import torch
from monai.networks.nets import BasicUNet

from pipeline.core.params import UNet
from pipeline.core.weights import load_weights, read_config, save_weights


def build_unet(channels: tuple[int, ...], n_structures: int) -> BasicUNet:
    """float [B, 1, S, S] in [-1, 1] → logits [B, n_structures, S, S]; S a multiple of 16."""
    return BasicUNet(
        spatial_dims=2,
        in_channels=1,
        out_channels=n_structures,
        features=(*channels, channels[0]),
        norm=("group", {"num_groups": 4}),
        act=("leakyrelu", {"negative_slope": 0.1, "inplace": True}),
        upsample="nontrainable",
    ).to(memory_format=torch.channels_last)


def save_unet(folder: Path, name: str, network: BasicUNet, params: UNet, classes: tuple[str, ...], trained_on: dict):
    save_weights(
        folder,
        name,
        network,
        {
            "architecture": "monai.BasicUNet",
            "channels": list(params.channels),
            "image_size": params.image_size,
            "classes": list(classes),
            "trained_on": trained_on,
            "licence": "Apache-2.0; see the licence of the training data",
        },
    )


def load_unet(folder: Path, name: str, device) -> tuple[BasicUNet, dict]:
    """The network in evaluation mode, and its configuration.

    Raises:
        InputError: no such network, or weights of another architecture.
    """
    config = read_config(folder, name)
    network = build_unet(tuple(config["channels"]), len(config["classes"]) - 1)
    load_weights(folder, name, network)
    return network.to(device).eval(), config


def bottleneck(network: BasicUNet, images: torch.Tensor) -> torch.Tensor:
    """Mean and standard deviation over space of the deepest features: float [B, 2 * channels[-1]]."""
    x = network.conv_0(images)
    for down in (network.down_1, network.down_2, network.down_3, network.down_4):
        x = down(x)
    return torch.cat([x.mean(dim=(2, 3)), x.std(dim=(2, 3), unbiased=False)], dim=1)
