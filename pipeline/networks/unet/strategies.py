"""Which parts of a U-Net are fine-tuned, by name: the strategies of arXiv 2307.09067 and 2407.20086, and more.

The 1x1 head is trained in every strategy, for no pre-training knows it. What is frozen stays bit-equal; the batch
statistics of frozen parts stay too, but for ``frozen_encoder``, whose encoder keeps its weights and follows the
statistics of the new images.
"""

from collections.abc import Callable

from torch import nn

from pipeline.networks.unet.model import BackboneUNet
from pipeline.run.errors import InputError

LAST_BLOCKS = 2


def _bottleneck(network: BackboneUNet) -> list[nn.Module]:
    """The encoder's stage at the coarsest resolution."""
    return list(network.encoder.get_stages()[32])


def _norms(module: nn.Module) -> list[nn.Module]:
    return [one for one in module.modules() if isinstance(one, nn.modules.batchnorm._NormBase | nn.LayerNorm)]


STRATEGIES: dict[str, Callable[[BackboneUNet], list[nn.Module]]] = {
    "scratch": lambda network: [network],
    "all": lambda network: [network],
    "frozen_encoder": lambda network: [network.unet.decoder],
    "decoder": lambda network: [network.unet.decoder],
    "encoder": lambda network: [network.encoder],
    "bottleneck_decoder": lambda network: [*_bottleneck(network), network.unet.decoder],
    "last_blocks": lambda network: list(network.unet.decoder.blocks[-LAST_BLOCKS:]),
    "batch_norm": _norms,
}


def choose_parts(network: BackboneUNet, strategy: str) -> None:
    """Set ``requires_grad`` of every parameter, and keep the batch statistics of what is frozen.

    Raises:
        InputError: an encoder that does not say where its bottleneck is.
    """
    try:
        parts = STRATEGIES[strategy](network)
    except (KeyError, NotImplementedError, AttributeError):
        raise InputError(
            f"train '{strategy}': the backbone '{network.backbone}' does not tell its stages; use 'decoder' or 'all'"
        ) from None
    network.requires_grad_(False)
    for part in (*parts, network.unet.segmentation_head, network.heads):
        part.requires_grad_(True)
    trained = {norm for part in parts for norm in _norms(part)}
    if strategy == "frozen_encoder":
        trained |= set(_norms(network.encoder))
    network.keep_still(norm for norm in _norms(network) if norm not in trained)
