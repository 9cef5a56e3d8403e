"""Features of DINOv2 and CLIP, from the Hugging Face folders that the user has."""

from pathlib import Path

import torch
from torch import Tensor

from pipeline.features.extraction import Extractor, photograph_extractor, refusal
from pipeline.networks.given_weights import variant_of, weight_files
from pipeline.run.errors import InputError
from pipeline.run.files import read_json

DINOV2, CLIP = "dinov2", "clip"
DINOV2_EDGE_PX = 224
"""Published comparisons use 224 px (Stein et al. 2023), though the models were last trained at 518."""

_MODEL_TYPES = {DINOV2: ("dinov2",), CLIP: ("clip", "clip_vision_model")}
# Mean and standard deviation of each channel that the networks were trained with: ImageNet's, and CLIP's own.
_NORMALISATION = {
    DINOV2: ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    CLIP: ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)),
}
_WHAT = {
    DINOV2: "a Hugging Face folder of a Dinov2Model",
    CLIP: "a Hugging Face folder of a CLIPVisionModelWithProjection or a CLIPModel",
}


def open_folder(name: str, folder: Path, device) -> Extractor:
    """dinov2: the class token of the last layer, normalised. clip: the image's embedding in the space that CLIP shares
    with text, not normalised.

    Raises:
        InputError: the folder is missing or of another model.
    """
    network = _pretrained(name, folder).to(device)
    edge = network.config.image_size
    if not isinstance(edge, int):
        raise refusal(name, f"{folder / 'config.json'}: image_size is {edge}, not one number", _WHAT[name])
    if name == DINOV2:
        edge = min(edge, DINOV2_EDGE_PX)

    def features(pixels: Tensor) -> Tensor:
        output = network(pixel_values=pixels)
        return output.pooler_output if name == DINOV2 else output.image_embeds

    return photograph_extractor(features, (edge, edge), *_NORMALISATION[name], device)


def _pretrained(name: str, folder: Path) -> torch.nn.Module:
    """The network of a Hugging Face folder, in float32, with every weight from there."""
    from transformers import AutoConfig, CLIPVisionModelWithProjection, Dinov2Model
    from transformers.utils import logging

    what = _WHAT[name]
    if not folder.exists():
        raise refusal(name, f"no folder {folder}", what)
    try:
        variant = variant_of(weight_files(folder))
        kind = read_json(folder / "config.json", "get the folder again").get("model_type")
    except (ValueError, InputError) as error:
        raise refusal(name, f"{folder} cannot be loaded", what, error) from None
    if kind not in _MODEL_TYPES[name]:
        raise refusal(name, f"{folder} holds a model of type {kind!r}", what)
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
        raise refusal(name, f"{folder} cannot be loaded", what, error) from None
    # transformers would fill gaps at random.
    if others := sorted(report["mismatched_keys"]):
        shapes = f"{len(others)} weights of other shapes than its config.json says ({others[0]})"
        raise refusal(name, f"{folder} has {shapes}", what)
    if gaps := sorted(report["missing_keys"]):
        raise refusal(name, f"{folder} lacks {len(gaps)} weights ({gaps[0]})", what)
    return model.eval()
