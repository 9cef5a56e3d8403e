"""Features of images for distances between sets: of a network of the project, or of public weights the user has.

Inception's features are of photographs and its weights are not always at hand, so the bottleneck of the evaluation
network, trained on reserved patients of the same kind of image, is the default (``domain``). Nothing is ever fetched.
"""

import io
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from pipeline.data.chunks import chunks
from pipeline.networks.given_weights import contents, fitting, variant_of, weight_files
from pipeline.run.errors import InputError, in_one_line
from pipeline.run.files import read_json

DOMAIN, INCEPTION, DINOV2, CLIP = "domain", "inception", "dinov2", "clip"
BATCH = 32
DINOV2_EDGE_PX = 224
"""Published comparisons use 224 px (Stein et al. 2023), though the models were last trained at 518."""

_MODEL_TYPES = {DINOV2: ("dinov2",), CLIP: ("clip", "clip_vision_model")}
# Mean and standard deviation of each channel that the networks were trained with: ImageNet's, and CLIP's own.
_NORMALISATION = {
    DINOV2: ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    CLIP: ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)),
}
INCEPTION_LAYERS = ("Conv2d_1a_3x3.conv.weight", "Mixed_7c.branch_pool.conv.weight", "fc.weight")
"""Tensors of Inception's first and last layers."""
_WHAT = {
    INCEPTION: "the file of torch-fidelity's Inception weights",
    DINOV2: "a Hugging Face folder of a Dinov2Model",
    CLIP: "a Hugging Face folder of a CLIPVisionModelWithProjection or a CLIPModel",
}

Extractor = Callable[[Tensor], Tensor]
"""uint8 [B, 3, S, S], three equal channels → float [B, D]."""


@torch.inference_mode()
def extract(extractor: Extractor, images: Iterable[np.ndarray], device) -> Tensor:
    """Features of images, float32 (N, D) on the CPU, in their order.

    Args:
        images: uint8 (S, S), S the same for all. Each is asked for when its turn comes and not kept.

    Raises:
        InputError: there is no image.
    """
    parts = [
        extractor(torch.from_numpy(np.stack(chunk))[:, None].expand(-1, 3, -1, -1).to(device)).float().cpu()
        for chunk in chunks(images, BATCH)
    ]
    if not parts:
        raise InputError("no images to extract features from; score a set that holds some")
    return torch.cat(parts)


def domain_extractor(features: Callable[[Tensor], Tensor]) -> Extractor:
    """The extractor of a network of the project: ``features`` takes float [B, 1, S, S] in [-1, 1]."""
    return lambda x: features(x[:, :1].float() / 127.5 - 1)


def open_extractor(name: str, weights: Path, device) -> Extractor:
    """A published network.

    inception: the 2048 values before its classifier. dinov2: the class token of the last layer, normalised. clip: the
    image's embedding in the space that CLIP shares with text, not normalised.

    Args:
        name: a key of ``score.extractors``.
        weights: of Inception a file, of DINOv2 and CLIP a folder.

    Raises:
        InputError: the weights are missing or another network's.
    """
    return _inception(weights, device) if name == INCEPTION else _from_folder(name, weights, device)


def _inception(path: Path, device) -> Extractor:
    from torch_fidelity.utils import create_feature_extractor

    try:
        found = contents(path)
    except FileNotFoundError:
        raise _refusal(INCEPTION, f"no file {path}") from None
    except (OSError, ValueError) as error:
        raise _refusal(INCEPTION, f"{path} is not a file of weights", error) from None
    plain = io.BytesIO()
    try:
        # torch-fidelity unpickles what it is given without restraint: let it see nothing but these tensors.
        torch.save(fitting(found, INCEPTION_LAYERS, lambda state: []), plain)
        plain.seek(0)
        options = {"cuda": False, "feature_extractor_weights_path": plain, "verbose": False}
        network = create_feature_extractor("inception-v3-compat", ["2048"], **options).to(device)
    except (RuntimeError, ValueError) as error:
        raise _refusal(INCEPTION, f"{path} holds another network", error) from None
    return lambda x: network(x)[0]


def _from_folder(name: str, folder: Path, device) -> Extractor:
    network = _pretrained(name, folder).to(device)
    edge = network.config.image_size
    if not isinstance(edge, int):
        raise _refusal(name, f"{folder / 'config.json'}: image_size is {edge}, not one number")
    if name == DINOV2:
        edge = min(edge, DINOV2_EDGE_PX)
    mean, std = (torch.tensor(values, device=device)[:, None, None] for values in _NORMALISATION[name])

    def features(x: Tensor) -> Tensor:
        x = functional.interpolate(x.float(), (edge, edge), mode="bicubic", align_corners=False, antialias=True)
        output = network(pixel_values=(x.clamp(0, 255) / 255 - mean) / std)
        return output.pooler_output if name == DINOV2 else output.image_embeds

    return features


def _pretrained(name: str, folder: Path) -> torch.nn.Module:
    """The network of a Hugging Face folder, in float32, with every weight from there."""
    from transformers import AutoConfig, CLIPVisionModelWithProjection, Dinov2Model
    from transformers.utils import logging

    if not folder.exists():
        raise _refusal(name, f"no folder {folder}")
    try:
        variant = variant_of(weight_files(folder))
        kind = read_json(folder / "config.json", "get the folder again").get("model_type")
    except (ValueError, InputError) as error:
        raise _refusal(name, f"{folder} cannot be loaded", error) from None
    if kind not in _MODEL_TYPES[name]:
        raise _refusal(name, f"{folder} holds a model of type {kind!r}")
    # It reports the weights it leaves out, such as CLIP's text tower, and draws progress bars.
    logging.set_verbosity(logging.CRITICAL)
    logging.disable_progress_bar()
    network = Dinov2Model if name == DINOV2 else CLIPVisionModelWithProjection
    options = {"use_safetensors": True, "dtype": torch.float32, "variant": variant}
    # What does not fit is named below; otherwise the message would point to a report that is not printed.
    options |= {"output_loading_info": True, "ignore_mismatched_sizes": True}
    try:
        config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        if kind == "clip":
            # A CLIPModel states the width of the shared space beside the vision tower's settings, not in them.
            config.vision_config.projection_dim = config.projection_dim
            config = config.vision_config
        model, report = network.from_pretrained(folder, config=config, local_files_only=True, **options)
    except Exception as error:
        raise _refusal(name, f"{folder} cannot be loaded", error) from None
    # transformers would fill gaps at random.
    if others := sorted(report["mismatched_keys"]):
        raise _refusal(
            name, f"{folder} has {len(others)} weights of other shapes than its config.json says ({others[0]})"
        )
    if gaps := sorted(report["missing_keys"]):
        raise _refusal(name, f"{folder} lacks {len(gaps)} weights ({gaps[0]})")
    return model.eval()


def _refusal(name: str, reason: str, error: Exception | None = None) -> InputError:
    why = "" if error is None else f" ({in_one_line(error)})"
    return InputError(f"key 'score.extractors.{name}': {reason}{why}; give {_WHAT[name]}, or null to do without")
