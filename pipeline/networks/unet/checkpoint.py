"""U-Nets on disk: the encoder that arms start from, and the whole network after fine-tuning."""

import logging
from pathlib import Path

from torch import Tensor

from pipeline.config.segmenters import UNetBase, UNetSegmenter
from pipeline.networks.unet.encoder_weights import is_folded, load_encoder, unfold
from pipeline.networks.unet.model import BackboneUNet, build_backbone_unet
from pipeline.networks.unet.strategies import choose_parts
from pipeline.networks.weights import load_tensors, load_weights, read_config, save_tensors
from pipeline.run.errors import InputError

ENCODER = "encoder"
log = logging.getLogger("pipeline.segmentation")


def save_unet_base(folder: Path, settings: UNetBase) -> None:
    """The encoder's weights, taken over from where ``settings`` say; without weights a note that there are none."""
    state: dict[str, Tensor] = {}
    if settings.weights is not None:
        network = BackboneUNet(settings.backbone, 1, input_channels=settings.input_channels)
        load_encoder(network, settings.weights)
        state = network.encoder.state_dict()
    about = {
        "architecture": ENCODER,
        "backbone": settings.backbone,
        "input_channels": settings.input_channels,
        "pretrained": settings.weights is not None,
        "licence": "that of the weights" if state else "Apache-2.0",
    }
    save_tensors(folder, ENCODER, state, about)


def build_unet_segmenter(folder: Path, settings: UNetSegmenter, n_structures: int, images: Tensor) -> BackboneUNet:
    """A U-Net with everything set for fine-tuning as ``settings`` say; what is not pretrained is drawn from torch's
    global generator.

    Args:
        folder: what :func:`save_unet_base` wrote.
        images: float [N, 1, S, S], the labelled ones: batch norms that were folded away get their statistics.

    Raises:
        InputError: no base there, or that of another backbone.
    """
    about = read_config(folder, ENCODER)
    for key in ("backbone", "input_channels"):
        if about[key] != (wanted := getattr(settings.base, key)):
            raise InputError(f"{folder}: {key} {about[key]}, not {wanted}; run `dvc repro base_weights`")
    network = build_backbone_unet(settings, n_structures)
    if about["pretrained"] and settings.train != "scratch":
        wanted = {name: value.shape for name, value in network.encoder.state_dict().items()}
        network.encoder.load_state_dict(load_tensors(folder, ENCODER, wanted))
        if is_folded(network):
            unfold(network, images)
    elif settings.train in ("frozen_encoder", "decoder", "last_blocks"):
        log.warning("train '%s' without base.weights: the encoder stays as it was drawn", settings.train)
    choose_parts(network, settings.train)
    return network


def load_unet_segmenter(folder: Path, settings: UNetSegmenter, n_structures: int) -> BackboneUNet:
    """A fine-tuned U-Net.

    Raises:
        InputError: weights of another architecture.
    """
    network = build_backbone_unet(settings, n_structures)
    load_weights(folder, "segmenter", network)
    return network
