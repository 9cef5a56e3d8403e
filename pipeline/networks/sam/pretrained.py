"""Pretrained SAM weights, from an official checkpoint or a Hugging Face folder, at any input size.

What depends on the input size is interpolated here, by shape, because ``ignore_mismatched_sizes`` would silently draw
it anew.
"""

import copy
import logging
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional
from transformers.models.sam.configuration_sam import SamConfig
from transformers.models.sam.modeling_sam import SamModel

from pipeline.networks.given_weights import weight_files
from pipeline.networks.sam.official import REMEDY, TIED, read_official
from pipeline.networks.weights import check_tensors, read_tensors
from pipeline.run import files
from pipeline.run.errors import InputError, in_one_line

POSITIONS = "shared_image_embedding.positional_embedding"
log = logging.getLogger("pipeline.segmentation")


def read_pretrained(path: Path) -> tuple[SamConfig, dict[str, Tensor]]:
    """Architecture and tensors, under transformers' names, of a checkpoint or a Hugging Face folder.

    Raises:
        InputError: nothing there, a damaged or foreign file, or another architecture.
    """
    return _read_folder(path) if path.is_dir() else read_official(path)


def _read_folder(path: Path) -> tuple[SamConfig, dict[str, Tensor]]:
    about = files.read_json(path / "config.json", f"give a Hugging Face folder of a SAM, or {REMEDY}")
    if about.get("model_type") != "sam":
        raise InputError(f"{path}: its model_type is '{about.get('model_type')}', not 'sam'; {REMEDY}")
    remedy = f"safetensors are needed; get the folder again, or {REMEDY}"
    try:
        shards = [read_tensors(file, remedy) for file in weight_files(path)]
    except ValueError as error:
        raise InputError(f"{path}: {error}; {remedy}") from None
    state = {key: value for shard in shards for key, value in shard.items() if key != TIED}
    try:
        config = SamConfig.from_dict(about)
        with torch.device("meta"):
            wanted = SamModel(config).state_dict()
    except Exception as error:  # a configuration can be wrong in many ways
        raise InputError(f"{path / 'config.json'}: not that of a SAM ({in_one_line(error)}); {remedy}") from None
    check_tensors(path, state, {key: value for key, value in wanted.items() if key != TIED}, remedy)
    return config, {key: value.float() for key, value in state.items()}


def at_resolution(
    config: SamConfig, state: Mapping[str, Tensor], image_size: int, window: int | None = None
) -> SamModel:
    """The model for ``image_size`` pixels, whatever size its weights were trained at.

    Args:
        state: under transformers' names; the model shares its tensors.
        window: patches along an attention window; None for the one that :func:`matched_window` finds.

    Raises:
        InputError: a size that is no multiple of the patch.
    """
    config = copy.deepcopy(config)
    vision = config.vision_config
    if image_size % vision.patch_size:
        raise InputError(
            f"base.image_size {image_size} is not a multiple of this SAM's patch size {vision.patch_size}; change it"
        )
    trained_at, grid = vision.image_size, image_size // vision.patch_size
    if vision.window_size:
        vision.window_size = window or matched_window(grid, trained_at // vision.patch_size, vision.window_size)
    vision.image_size = config.prompt_encoder_config.image_size = image_size
    config.prompt_encoder_config.image_embedding_size = grid
    with torch.device("meta"):
        sam = SamModel(config)
    wanted = sam.state_dict()
    # Checkpoints in half precision are read too; networks are not.
    resized = {key: resize(key, value, wanted[key].shape).float() for key, value in state.items()}
    sam.load_state_dict(resized | {TIED: resized[POSITIONS].clone()}, assign=True)
    log.info("SAM with %d layers of %d, %d px to %d px, windows of %d", vision.num_hidden_layers, vision.hidden_size,
             trained_at, image_size, vision.window_size)  # fmt: skip
    return sam


def matched_window(grid: int, trained_grid: int, trained_window: int) -> int:
    """Patches along an attention window that tile the grid: the divisor of ``grid`` nearest to the trained window.

    Windows that do not tile are padded: at 256 px 14 patches turn a grid of 16 into 28. At the trained grid the trained
    window stays, and with it the published results. Nearness is a ratio, so that a grid of 29 becomes one window, not
    windows of one patch.
    """
    if grid == trained_grid:
        return trained_window
    divisors = [size for size in range(1, grid + 1) if grid % size == 0]
    return min(divisors, key=lambda size: max(size / trained_window, trained_window / size))


def resize(key: str, value: Tensor, shape: torch.Size) -> Tensor:
    """Interpolate position tensors to another grid; anything else must fit already.

    ``pos_embed`` [1, g, g, C] bicubic, anti-aliased; ``rel_pos`` [2g - 1, C] linear, as SAM itself does for windows.
    """
    if value.shape == shape:
        return value
    if key.endswith(".pos_embed"):
        planes = value.float().permute(0, 3, 1, 2)
        planes = functional.interpolate(planes, size=shape[1:3], mode="bicubic", antialias=True, align_corners=False)
        return planes.permute(0, 2, 3, 1).contiguous().to(value.dtype)
    if key.endswith((".rel_pos_h", ".rel_pos_w")):
        line = functional.interpolate(value.float().T[None], size=shape[0], mode="linear", align_corners=False)
        return line[0].T.contiguous().to(value.dtype)
    raise AssertionError(f"{key} does not depend on the input size")
