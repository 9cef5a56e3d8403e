"""Networks of diffusers and transformers from a local folder: nothing is downloaded and no pickle is read."""

from pathlib import Path

import torch
from safetensors import SafetensorError
from transformers import CLIPTextModel

from pipeline.networks.given_weights import variant_of, weight_files
from pipeline.run.errors import InputError, in_one_line

UNREADABLE = (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError)


def load_network(folder: Path, kind: type, remedy: str) -> torch.nn.Module:
    """A network in float32, frozen, in evaluation mode, with every weight from the folder.

    Args:
        kind: a class of diffusers, or CLIPTextModel.

    Raises:
        InputError: nothing there, weights that are no safetensors, or those of another network.
    """
    stem = "model" if kind is CLIPTextModel else "diffusion_pytorch_model"
    try:
        variant = variant_of(weight_files(folder, stem))
    except ValueError as error:
        raise InputError(
            f"{folder}: no safetensors weights can be read ({error}); get the model's safetensors files, for pickled "
            "weights are refused because they can run code"
        ) from None
    options = {"use_safetensors": True, "local_files_only": True, "output_loading_info": True, "variant": variant}
    if kind is CLIPTextModel:
        # transformers' message would point to a report that is not printed.
        options["ignore_mismatched_sizes"] = True
    try:
        network, report = kind.from_pretrained(folder, **options)
    except UNREADABLE as error:
        raise InputError(f"{folder}: not the weights of a {kind.__name__} ({in_one_line(error)}); {remedy}") from None
    if wrong := sorted(report["missing_keys"]) or sorted(map(str, report["mismatched_keys"])):
        what = "are missing" if report["missing_keys"] else "have other shapes than its config.json says"
        raise InputError(f"{folder}: weights {what} ({', '.join(wrong[:3])}); {remedy}")
    if hasattr(network, "register_to_config"):
        # diffusers notes the path and would save it, so that equal models differed between machines.
        network.register_to_config(_name_or_path="")
    return network.float().requires_grad_(False).eval()
