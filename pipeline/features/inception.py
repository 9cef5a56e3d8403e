"""The features of FID: torch-fidelity's Inception v3, with its official weights where the user has them."""

import io
from pathlib import Path

from pipeline.features.extraction import Extractor, refusal
from pipeline.networks.given_weights import contents, fitting

INCEPTION_LAYERS = ("Conv2d_1a_3x3.conv.weight", "Mixed_7c.branch_pool.conv.weight", "fc.weight")
"""Tensors of Inception's first and last layers."""
_KEY, _WHAT = "inception", "the file of torch-fidelity's Inception weights"


def open_inception(path: Path, device) -> Extractor:
    """The 2048 values before its classifier.

    Raises:
        InputError: the weights are missing or another network's.
    """
    import torch
    from torch_fidelity.utils import create_feature_extractor

    try:
        found = contents(path)
    except FileNotFoundError:
        raise refusal(_KEY, f"no file {path}", _WHAT) from None
    except (OSError, ValueError) as error:
        raise refusal(_KEY, f"{path} is not a file of weights", _WHAT, error) from None
    plain = io.BytesIO()
    try:
        # torch-fidelity unpickles what it is given without restraint: let it see nothing but these tensors.
        torch.save(fitting(found, INCEPTION_LAYERS, lambda state: []), plain)
        plain.seek(0)
        options = {"cuda": False, "feature_extractor_weights_path": plain, "verbose": False}
        network = create_feature_extractor("inception-v3-compat", ["2048"], **options).to(device)
    except (RuntimeError, ValueError) as error:
        raise refusal(_KEY, f"{path} holds another network", _WHAT, error) from None
    return lambda x: network(x)[0]
