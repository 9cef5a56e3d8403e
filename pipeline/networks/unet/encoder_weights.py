"""Weights of an image classifier for the encoder of a U-Net: from a file, a package or the local Hugging Face cache.

Nothing is downloaded here.
"""

import logging
import re
from pathlib import Path

from torch import Tensor, nn

from pipeline.config.segmenters import LITE0
from pipeline.networks.given_weights import open_weights
from pipeline.networks.lite0 import lite0_state
from pipeline.networks.unet.model import BackboneUNet
from pipeline.networks.weights import differences
from pipeline.run.errors import InputError

HUB = "imagenet"
log = logging.getLogger("pipeline.weights")


def load_encoder(network: BackboneUNet, weights: str) -> None:
    """Give the network's encoder the weights of a classifier; a head for its classes is left out.

    Args:
        weights: ``lite0``, ``imagenet``, or a file with the tensor names of the encoder (torchvision's for MobileNet
            and ResNet, timm's for ``tu-``), whatever stands around them; see :func:`open_weights`.

    Raises:
        InputError: nothing there, a damaged file, or the tensors of another architecture.
    """
    named = {_spelt(name).removeprefix("model."): name for name in network.encoder.state_dict()}
    known = {name: network.encoder.state_dict()[own] for name, own in named.items()}
    # Counters that no classifier needs.
    needed = {name for name in known if not name.endswith("num_batches_tracked")}
    stems = {name.split(".")[0] for name in known}

    def wanted(state: dict[str, Tensor]) -> dict[str, Tensor]:
        """What is the encoder's by its name, and not a head's."""
        return {name: value for name, value in _adapted(state, known).items() if name.split(".")[0] in stems}

    def faults(state: dict[str, Tensor]) -> list[str]:
        own = wanted(state)
        return differences(own, {name: value for name, value in known.items() if name in needed | own.keys()})

    remedy = f"it is no file of a '{network.backbone}'; give weights of that backbone"
    if weights == LITE0:
        state = lite0_state()
    else:
        path = hub_file(network.backbone) if weights == HUB else Path(weights)
        state = open_weights(path, needed, faults, remedy, renamed=_spelt)
    if left := sorted(state.keys() - known.keys()):
        log.info("%s: %d tensors are no part of the encoder and left out, such as %s", weights, len(left), left[0])
    network.encoder.load_state_dict({named[name]: value for name, value in wanted(state).items()}, strict=False)


def _spelt(name: str) -> str:
    """timm's name of a tensor: the encoders ``tu-`` write ``stages_0.`` for its ``stages.0.``."""
    return re.sub(r"_(\d+)\.", r".\1.", name)


def hub_file(backbone: str) -> Path:
    """The library's own ImageNet weights, if they are in the local cache.

    Raises:
        InputError: the library has none, or they were not fetched yet.
    """
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import LocalEntryNotFoundError
    from segmentation_models_pytorch.encoders import encoders

    known = encoders[backbone]["pretrained_settings"].get(HUB) if backbone in encoders else None
    if not known or "repo_id" not in known:
        raise InputError(f"weights '{HUB}': the library has none for the backbone '{backbone}'; give a file, or null")
    try:
        path = hf_hub_download(known["repo_id"], "model.safetensors", revision=known["revision"], local_files_only=True)
    except (LocalEntryNotFoundError, OSError):
        command = f"hf download {known['repo_id']} --revision {known['revision']}"
        raise InputError(f"weights '{HUB}': not in the local cache; fetch them once with `{command}`") from None
    return Path(path)


def _adapted(state: dict[str, Tensor], known: dict[str, Tensor]) -> dict[str, Tensor]:
    """For one or two input channels the three colours' weights are summed, as a grey image shows each the same."""
    first = next(name for name, value in known.items() if value.ndim == 4)
    wanted = known[first].shape[1]
    if first in state and state[first].ndim == 4 and wanted < state[first].shape[1]:
        summed = state[first].sum(dim=1, keepdim=True) / wanted
        state = state | {first: summed.expand(-1, wanted, -1, -1).contiguous()}
    return state


def is_folded(encoder: nn.Module) -> bool:
    """Whether batch norms only add: a converter moved their statistics into the convolutions. Untrained ones add 0."""
    norms = [module for module in encoder.modules() if isinstance(module, nn.BatchNorm2d)]
    return any(norm.bias.any() for norm in norms) and all(
        (norm.running_mean == 0).all() and (norm.running_var == 1).all() and (norm.weight == 1).all() for norm in norms
    )
