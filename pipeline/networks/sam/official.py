"""Official SAM checkpoints (``segment_anything``: ViT-B, -L, -H) in and out of transformers' ``SamModel``.

Kirillov et al., "Segment Anything", ICCV 2023; weights under Apache-2.0. Both sides hold the same tensors under other
names.
"""

import io
import re
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor
from transformers.models.sam.configuration_sam import (
    SamConfig,
    SamMaskDecoderConfig,
    SamPromptEncoderConfig,
    SamVisionConfig,
)
from transformers.models.sam.modeling_sam import SamModel

from pipeline.run import files
from pipeline.run.errors import InputError

REMEDY = "give an official checkpoint such as sam_vit_b_01ec64.pth, or null for the compact SAM"
DECODER_HEADS = 8

# (pattern of an official key, its name in transformers), in order; both columns are read in both directions.
_NAMES = (
    ("image_encoder.patch_embed.proj.", "vision_encoder.patch_embed.projection."),
    ("image_encoder.pos_embed", "vision_encoder.pos_embed"),
    ("image_encoder.blocks.#.norm1.", "vision_encoder.layers.#.layer_norm1."),
    ("image_encoder.blocks.#.norm2.", "vision_encoder.layers.#.layer_norm2."),
    ("image_encoder.blocks.#.", "vision_encoder.layers.#."),
    ("image_encoder.neck.0.", "vision_encoder.neck.conv1."),
    ("image_encoder.neck.1.", "vision_encoder.neck.layer_norm1."),
    ("image_encoder.neck.2.", "vision_encoder.neck.conv2."),
    ("image_encoder.neck.3.", "vision_encoder.neck.layer_norm2."),
    ("prompt_encoder.pe_layer.positional_encoding_gaussian_matrix", "shared_image_embedding.positional_embedding"),
    ("prompt_encoder.point_embeddings.#.", "prompt_encoder.point_embed.#."),
    ("prompt_encoder.mask_downscaling.0.", "prompt_encoder.mask_embed.conv1."),
    ("prompt_encoder.mask_downscaling.1.", "prompt_encoder.mask_embed.layer_norm1."),
    ("prompt_encoder.mask_downscaling.3.", "prompt_encoder.mask_embed.conv2."),
    ("prompt_encoder.mask_downscaling.4.", "prompt_encoder.mask_embed.layer_norm2."),
    ("prompt_encoder.mask_downscaling.6.", "prompt_encoder.mask_embed.conv3."),
    ("mask_decoder.transformer.layers.#.norm1.", "mask_decoder.transformer.layers.#.layer_norm1."),
    ("mask_decoder.transformer.layers.#.norm2.", "mask_decoder.transformer.layers.#.layer_norm2."),
    ("mask_decoder.transformer.layers.#.norm3.", "mask_decoder.transformer.layers.#.layer_norm3."),
    ("mask_decoder.transformer.layers.#.norm4.", "mask_decoder.transformer.layers.#.layer_norm4."),
    ("mask_decoder.transformer.norm_final_attn.", "mask_decoder.transformer.layer_norm_final_attn."),
    ("mask_decoder.output_upscaling.0.", "mask_decoder.upscale_conv1."),
    ("mask_decoder.output_upscaling.1.", "mask_decoder.upscale_layer_norm."),
    ("mask_decoder.output_upscaling.3.", "mask_decoder.upscale_conv2."),
    ("mask_decoder.output_hypernetworks_mlps.#.layers.0.", "mask_decoder.output_hypernetworks_mlps.#.proj_in."),
    ("mask_decoder.output_hypernetworks_mlps.#.layers.1.", "mask_decoder.output_hypernetworks_mlps.#.layers.0."),
    ("mask_decoder.output_hypernetworks_mlps.#.layers.2.", "mask_decoder.output_hypernetworks_mlps.#.proj_out."),
    ("mask_decoder.iou_prediction_head.layers.0.", "mask_decoder.iou_prediction_head.proj_in."),
    ("mask_decoder.iou_prediction_head.layers.1.", "mask_decoder.iou_prediction_head.layers.0."),
    ("mask_decoder.iou_prediction_head.layers.2.", "mask_decoder.iou_prediction_head.proj_out."),
)
TIED = "prompt_encoder.shared_embedding.positional_embedding"
"""transformers' second copy of the position code, which the official state dict does not hold."""


def read_official(path: Path) -> tuple[SamConfig, dict[str, Tensor]]:
    """The architecture of an official checkpoint and its tensors under transformers' names, at the size it has.

    Raises:
        InputError: no such file, not a checkpoint, or another architecture.
    """
    state = _read(path)
    try:
        config = architecture(state)
    except (KeyError, IndexError, ValueError) as error:
        raise InputError(f"{path}: not a SAM checkpoint (no usable {error}); {REMEDY}") from None
    _check(path, state, config)
    return config, {to_transformers(key): value for key, value in state.items()}


def write_official(state: Mapping[str, Tensor], path: Path) -> None:
    """Write tensors under transformers' names as a ``segment_anything`` state dict."""
    buffer = io.BytesIO()
    torch.save(official_state(state), buffer)
    files.write_bytes(path, buffer.getbuffer())


def official_state(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Official keys of a ``SamModel``'s state, sorted so that equal weights give equal bytes."""
    renamed = {to_official(key): value.detach().cpu().contiguous() for key, value in state.items() if key != TIED}
    return {key: renamed[key] for key in sorted(renamed)}


def to_transformers(key: str) -> str:
    """The name in transformers of an official key; a key of no SAM comes back as it is."""
    return _rename(key, _NAMES)


def to_official(key: str) -> str:
    return _rename(key, tuple((ours, official) for official, ours in _NAMES))


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
        vision_config=SamVisionConfig(
            hidden_size=hidden,
            output_channels=channels,
            num_hidden_layers=layers,
            num_attention_heads=hidden // relative[0][1],
            image_size=size,
            patch_size=patch,
            mlp_dim=state["image_encoder.blocks.0.mlp.lin1.weight"].shape[0],
            qkv_bias="image_encoder.blocks.0.attn.qkv.bias" in state,
            window_size=windows.pop() if windows else 0,
            global_attn_indexes=global_layers,
            num_pos_feats=state["prompt_encoder.pe_layer.positional_encoding_gaussian_matrix"].shape[1],
        ),
        prompt_encoder_config=SamPromptEncoderConfig(
            hidden_size=channels,
            image_size=size,
            patch_size=patch,
            mask_input_channels=state["prompt_encoder.mask_downscaling.3.weight"].shape[0],
        ),
        mask_decoder_config=SamMaskDecoderConfig(
            hidden_size=channels,
            mlp_dim=state[f"{decoder}.mlp.lin1.weight"].shape[0],
            num_hidden_layers=_count(state, r"mask_decoder\.transformer\.layers\.(\d+)\.norm1\.weight"),
            num_attention_heads=DECODER_HEADS,
            attention_downsample_rate=channels // inner,
            num_multimask_outputs=state["mask_decoder.mask_tokens.weight"].shape[0] - 1,
            iou_head_hidden_dim=state["mask_decoder.iou_prediction_head.layers.0.weight"].shape[0],
            # The official two-way transformer uses PyTorch's default; transformers defaults to 1e-6.
            layer_norm_eps=1e-5,
        ),
    )


def _read(path: Path) -> dict[str, Tensor]:
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise InputError(f"{path}: no such checkpoint; {REMEDY}") from None
    except Exception as error:  # torch.load fails in half a dozen ways on a truncated or foreign file
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise InputError(f"{path}: not a readable PyTorch checkpoint ({first}); get it again, or {REMEDY}") from None
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise InputError(f"{path}: holds no state dict of tensors; {REMEDY}")
    return state


def _check(path: Path, state: Mapping[str, Tensor], config: SamConfig) -> None:
    """Hold the checkpoint against its architecture at its own size, key by key."""
    with torch.device("meta"):
        wanted = official_shapes(SamModel(config))
    missing = sorted(wanted.keys() - state.keys())
    unknown = sorted(state.keys() - wanted.keys())
    wrong = sorted(key for key in wanted.keys() & state.keys() if wanted[key] != state[key].shape)
    complaints = [f"{name} {', '.join(keys[:3])}" for name, keys in
                  (("missing", missing), ("unknown", unknown), ("of another shape", wrong)) if keys]  # fmt: skip
    if complaints:
        raise InputError(f"{path}: not SAM as published ({'; '.join(complaints)}); {REMEDY}")


def official_shapes(sam: SamModel) -> dict[str, torch.Size]:
    return {to_official(key): value.shape for key, value in sam.state_dict().items() if key != TIED}


def _rename(key: str, names: tuple[tuple[str, str], ...]) -> str:
    for old, new in names:
        pattern = re.escape(old).replace(r"\#", r"(\d+)")
        if match := re.match(pattern, key):
            return new.replace("#", match[1] if match.groups() else "") + key[match.end() :]
    return key


def _count(state: Mapping[str, Tensor], pattern: str) -> int:
    found = sum(re.fullmatch(pattern, key) is not None for key in state)
    if not found:
        raise KeyError(pattern)
    return found
