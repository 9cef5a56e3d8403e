"""Weights of an image classifier for the encoder of a U-Net, from a file or from the local Hugging Face cache.

Nothing is downloaded here.
"""

from pathlib import Path

from torch import Tensor, nn

from pipeline.networks.unet.model import BackboneUNet
from pipeline.networks.weights import check_tensors, read_tensors
from pipeline.run.errors import InputError

HUB = "imagenet"


def load_encoder(network: BackboneUNet, weights: str) -> None:
    """Give the network's encoder the weights of a classifier; a head for its classes is left out.

    Args:
        weights: ``imagenet``, or a ``.safetensors``, ``.pth``, ``.pt`` or ``.npz`` with the tensor names of the encoder
            (torchvision's for MobileNet and ResNet).

    Raises:
        InputError: nothing there, a damaged file, or the tensors of another architecture.
    """
    path = hub_file(network.backbone) if weights == HUB else Path(weights)
    remedy = f"it is no file of a '{network.backbone}'; give weights of that backbone"
    state = _adapted(read_tensors(path, remedy), network.unet.encoder)
    known = network.encoder.state_dict()
    # Counters that no classifier needs.
    wanted = {name: known[name] for name in known if name in state or not name.endswith("num_batches_tracked")}
    state = {name: state[name] for name in wanted if name in state}
    check_tensors(path, state, wanted, remedy)
    network.encoder.load_state_dict(state, strict=False)


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


def _adapted(state: dict[str, Tensor], encoder: nn.Module) -> dict[str, Tensor]:
    """For one or two input channels the three colours' weights are summed, as a grey image shows each the same."""
    first = next(name for name, value in encoder.state_dict().items() if value.ndim == 4)
    wanted = encoder.state_dict()[first].shape[1]
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
