"""U-Nets on disk: the encoder that arms start from, and the whole network after fine-tuning."""

import logging
from pathlib import Path

from torch import Tensor

from pipeline.config.segmenters import UNetSegmenter
from pipeline.networks.unet.encoder_weights import is_folded, load_encoder
from pipeline.networks.unet.model import BackboneUNet, check_usable
from pipeline.networks.unet.strategies import choose_parts
from pipeline.networks.weights import load_weights, read_config, save_tensors
from pipeline.run.errors import InputError

ARCHITECTURE = "U-Net"
ENCODER = "encoder"
log = logging.getLogger("pipeline.segmentation")


def save_base(folder: Path, settings: UNetSegmenter) -> None:
    """The encoder's weights, taken over from where ``settings`` say; without weights a note that there are none.

    Raises:
        InputError: an encoder that cannot be used at this size or trained like this, or weights that are not its own.
    """
    base = settings.base
    state: dict[str, Tensor] = {}
    network = BackboneUNet(settings, 1)
    check_usable(network, base.image_size)
    choose_parts(network, settings.train)
    if base.weights is not None:
        load_encoder(network, base.weights)
        if is_folded(network.encoder):
            raise InputError(
                f"{base.weights}: its batch norms were folded away, and training would normalise away what it learnt; "
                "give them statistics again with `python -m benchmarks.unfold_batch_norms`"
            )
        state = network.encoder.state_dict()
    about = {
        "architecture": ENCODER,
        "backbone": base.backbone,
        "input_channels": base.input_channels,
        "pretrained": base.weights is not None,
        "licence": "that of the weights" if state else "Apache-2.0",
    }
    save_tensors(folder, ENCODER, state, about)


def build(base: Path, settings: UNetSegmenter, n_structures: int) -> BackboneUNet:
    """A U-Net with everything set for fine-tuning as ``settings`` say; what is not pretrained is drawn from torch's
    global generator.

    Args:
        base: what :func:`save_base` wrote.

    Raises:
        InputError: no base there, or that of another backbone.
    """
    about = read_config(base, ENCODER, "backbone", "input_channels", "pretrained")
    for key in ("backbone", "input_channels"):
        if about[key] != (wanted := getattr(settings.base, key)):
            raise InputError(f"{base}: {key} {about[key]}, not {wanted}; run `dvc repro base_unet`")
    network = BackboneUNet(settings, n_structures)
    if about["pretrained"] and settings.train != "scratch":
        load_weights(base, ENCODER, network.encoder)
    elif settings.train in ("frozen_encoder", "decoder", "last_blocks"):
        log.warning("train '%s' without base.weights: the encoder stays as it was drawn", settings.train)
    choose_parts(network, settings.train)
    return network


def saved(network: BackboneUNet, base: Path) -> tuple[dict[str, Tensor], dict]:
    """Every tensor: a fine-tuned U-Net needs no base."""
    return network.state_dict(), {}


def load(folder: Path, about: dict, settings: UNetSegmenter, base: Path) -> BackboneUNet:
    """A fine-tuned U-Net.

    Raises:
        InputError: weights of another architecture.
    """
    network = BackboneUNet(settings, len(about["structures"]))
    load_weights(folder, "segmenter", network)
    return network
