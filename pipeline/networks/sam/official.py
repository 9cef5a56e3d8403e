"""Official SAM checkpoints (``segment_anything``: ViT-B, -L, -H) in and out of transformers' ``SamModel``.

Kirillov et al., "Segment Anything", ICCV 2023; weights under Apache-2.0. Both sides hold the same tensors under other
names.
"""

import csv
import io
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor
from transformers.models.sam.configuration_sam import SamConfig
from transformers.models.sam.modeling_sam import SamModel

from pipeline.networks.given_weights import open_weights
from pipeline.networks.weights import differences
from pipeline.run import files

REMEDY = "give an official checkpoint such as sam_vit_b_01ec64.pth, or null for the compact SAM"
DECODER_HEADS = 8

with Path(__file__).with_name("names.csv").open(newline="") as table:
    NAMES = [(row["segment_anything"], row["transformers"]) for row in csv.DictReader(table)]
"""Beginnings of names, the first that fits counts; # is a number. Both columns are read in both directions."""
TIED = "prompt_encoder.shared_embedding.positional_embedding"
"""transformers' second copy of the position code, which the official state dict does not hold."""
LANDMARKS = (
    "mask_decoder.iou_token.weight",
    "mask_decoder.mask_tokens.weight",
    "prompt_encoder.no_mask_embed.weight",
    "prompt_encoder.not_a_point_embed.weight",
)
"""Tensors of every SAM that both sides call alike."""


def read_official(path: Path) -> tuple[SamConfig, dict[str, Tensor]]:
    """The architecture of a checkpoint and its tensors under transformers' names, at the size it has.

    Args:
        path: an official checkpoint, or a state dict of ``SamModel``; see :func:`open_weights` for what may be around.

    Raises:
        InputError: no such file, not a checkpoint, or another architecture.
    """
    state = _officially(open_weights(path, LANDMARKS, _faults, REMEDY, "not a SAM checkpoint"))
    return architecture(state), {to_transformers(key): value for key, value in state.items()}


def _officially(state: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    return official_state(state) if any(key.startswith("vision_encoder.") for key in state) else state


def _faults(state: Mapping[str, Tensor]) -> list[str]:
    state = _officially(state)
    try:
        config = architecture(state)
    except (KeyError, IndexError, ValueError) as error:
        return [f"no usable {error}"]
    with torch.device("meta"):
        wanted = official_state(SamModel(config).state_dict())
    return differences(state, wanted)


def write_official(state: Mapping[str, Tensor], path: Path) -> None:
    """Write tensors under transformers' names as a ``segment_anything`` state dict."""
    buffer = io.BytesIO()
    torch.save({key: value.detach().cpu().contiguous() for key, value in official_state(state).items()}, buffer)
    files.write_bytes(path, buffer.getbuffer())


def official_state(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Official keys of a ``SamModel``'s state, sorted so that equal weights give equal bytes."""
    return dict(sorted((to_official(key), value) for key, value in state.items() if key != TIED))


def to_transformers(key: str) -> str:
    """The name in transformers of an official key; a key of no SAM comes back as it is."""
    return _rename(key, NAMES)


def to_official(key: str) -> str:
    return _rename(key, [(ours, official) for official, ours in NAMES])


def architecture(state: Mapping[str, Tensor]) -> SamConfig:
    """The configuration of an official state dict, from the shapes of its tensors.

    Head counts leave no trace but in the relative positions; the decoder's is 8 in every official model.

    Raises:
        KeyError, ValueError: tensors without which the architecture cannot be told.
    """
    hidden, _, patch, _ = state["image_encoder.patch_embed.proj.weight"].shape
    grid = state["image_encoder.pos_embed"].shape[1]
    layers = _count(state, r"image_encoder\.blocks\.(\d+)\.norm1\.weight")
    relative = [state[f"image_encoder.blocks.{i}.attn.rel_pos_h"].shape for i in range(layers)]
    global_layers = [i for i, shape in enumerate(relative) if shape[0] == 2 * grid - 1]
    windows = {(shape[0] + 1) // 2 for shape in relative if shape[0] != 2 * grid - 1}
    if len(windows) > 1:
        raise ValueError(f"window size: {sorted(windows)} occur")
    channels = state["image_encoder.neck.0.weight"].shape[0]
    decoder = "mask_decoder.transformer.layers.0"
    inner = state[f"{decoder}.cross_attn_token_to_image.q_proj.weight"].shape[0]
    size = grid * patch
    return SamConfig(
        vision_config={
            "hidden_size": hidden,
            "output_channels": channels,
            "num_hidden_layers": layers,
            "num_attention_heads": hidden // relative[0][1],
            "image_size": size,
            "patch_size": patch,
            "mlp_dim": state["image_encoder.blocks.0.mlp.lin1.weight"].shape[0],
            "qkv_bias": "image_encoder.blocks.0.attn.qkv.bias" in state,
            "window_size": windows.pop() if windows else 0,
            "global_attn_indexes": global_layers,
            "num_pos_feats": state["prompt_encoder.pe_layer.positional_encoding_gaussian_matrix"].shape[1],
        },
        prompt_encoder_config={
            "hidden_size": channels,
            "image_size": size,
            "patch_size": patch,
            "mask_input_channels": state["prompt_encoder.mask_downscaling.3.weight"].shape[0],
        },
        mask_decoder_config={
            "hidden_size": channels,
            "mlp_dim": state[f"{decoder}.mlp.lin1.weight"].shape[0],
            "num_hidden_layers": _count(state, r"mask_decoder\.transformer\.layers\.(\d+)\.norm1\.weight"),
            "num_attention_heads": DECODER_HEADS,
            "attention_downsample_rate": channels // inner,
            "num_multimask_outputs": state["mask_decoder.mask_tokens.weight"].shape[0] - 1,
            "iou_head_hidden_dim": state["mask_decoder.iou_prediction_head.layers.0.weight"].shape[0],
            # The official two-way transformer uses PyTorch's default; transformers defaults to 1e-6.
            "layer_norm_eps": 1e-5,
        },
    )


def _rename(key: str, names: Sequence[tuple[str, str]]) -> str:
    for old, new in names:
        if match := re.match(re.escape(old).replace(r"\#", r"(\d+)"), key):
            return new.replace("#", match[match.lastindex or 0]) + key[match.end() :]
    return key


def _count(state: Mapping[str, Tensor], pattern: str) -> int:
    found = sum(re.fullmatch(pattern, key) is not None for key in state)
    if not found:
        raise KeyError(pattern)
    return found
