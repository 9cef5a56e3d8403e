"""Deep features of an image as a grid of tokens: the last feature map of a frozen encoder, pooled to a stated grid.

A token is what the encoder sees in one cell of the canvas, so that an attention over tokens has more than one key to
choose from; one pooled vector an image leaves it none (see :mod:`pipeline.tasks.gestational_age.fusion`).
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from pipeline.features.extraction import refusal
from pipeline.features.timm_models import LITE0_EDGE_PX, timm_network
from pipeline.features.token_store import TokenStore
from pipeline.imaging.canvas import sides
from pipeline.imaging.letterbox import letterbox
from pipeline.networks.lite0 import SHA256, lite0
from pipeline.run import files
from pipeline.run.errors import InputError, in_one_line

LITE0 = "lite0"
GRID = (7, 7)
"""The last feature map of an encoder with stride 32 at 224 px."""
_HALF = (0.5, 0.5, 0.5)


@dataclass(frozen=True)
class TokenEncoder:
    """A frozen encoder and the canvas that it sees.

    features: float [1, 1, H, W] in [0, 255] on ``device`` → float [1, C, h, w]. size: H and W of the canvas in pixels;
    images are letter-boxed into it, with black around them. grid: rows and columns of tokens, or None for h and w.
    about: what a store says of it.
    """

    name: str
    features: Callable[[Tensor], Tensor]
    size: tuple[int, int]
    grid: tuple[int, int] | None
    device: torch.device
    about: dict

    @torch.inference_mode()
    def encode(self, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Tokens float16 (T, C), row by row, and the mean of the feature map before pooling, float32 (C,).

        Both are functions of the image alone: one image is encoded at a time.

        Args:
            image: uint8 (H, W), of any size.

        Raises:
            InputError: no grey image of 8 bits, a canvas that the encoder does not take, a grid finer than its feature
                map, or features that are not finite.
        """
        if image.dtype != np.uint8 or image.ndim != 2:
            raise InputError(f"an image of {image.dtype} {image.shape}; deep features are of uint8 (H, W)")
        canvas = torch.from_numpy(letterbox(image, self.size)[0])[None, None].float()
        found = self._map(canvas.to(self.device))
        grid = self.grid or tuple(found.shape[-2:])
        if grid[0] > found.shape[-2] or grid[1] > found.shape[-1]:
            raise InputError(
                f"a grid of {grid[0]} x {grid[1]} tokens is finer than the {found.shape[-2]} x {found.shape[-1]} "
                f"features of '{self.name}' at {self.size[0]} x {self.size[1]} px; lower it, or enlarge the canvas"
            )
        tokens = functional.adaptive_avg_pool2d(found, grid)[0].flatten(1).T
        rounded = tokens.cpu().numpy().astype(np.float16)
        if not np.isfinite(rounded).all():
            raise InputError(f"features of '{self.name}' are nan or too large for 16 bits; choose another encoder")
        return np.ascontiguousarray(rounded), found.mean(dim=(2, 3))[0].cpu().numpy()

    def _map(self, canvas: Tensor) -> Tensor:
        try:
            return self.features(canvas).float()
        except Exception as error:  # an encoder can be unfit for a size in many ways
            raise InputError(
                f"'{self.name}' does not take {self.size[0]} x {self.size[1]} px ({in_one_line(error)}); choose the "
                "size that it was made for"
            ) from None


def open_encoder(
    encoder: str,
    weights: Path | None = None,
    *,
    size: int | Sequence[int] | None = None,
    grid: tuple[int, int] | None = GRID,
    device: torch.device | str = "cpu",
    section: str = "deep_features",
) -> TokenEncoder:
    """An encoder by name.

    Args:
        encoder: ``lite0``, EfficientNet-Lite0 with the ImageNet weights of the installed package; or a name of timm.
        weights: of one of timm, a file of its state dict; None of ``lite0``.
        size: of the canvas in pixels; None for the size that the weights were trained at.
        grid: see :class:`TokenEncoder`.
        section: of the parameters, for messages.

    Raises:
        InputError: no such encoder, weights that are missing or of another network.
    """
    if encoder == LITE0:
        if weights is not None:
            raise refusal(
                "weights", f"{LITE0} has the weights of its package", "null", None, section, "another encoder"
            )
        network, about, edge = lite0(), {"encoder": LITE0, "weights_sha256": SHA256}, LITE0_EDGE_PX
        mean = std = _HALF
    else:
        key = {"section": section, "otherwise": f"encoder {LITE0}"}
        if weights is None:
            raise refusal("weights", f"'{encoder}' has none", "a file of its weights, none are fetched", **key)
        network = timm_network(encoder, weights, **key)
        # Where weights lie is a machine's own affair.
        about = {"encoder": encoder, "weights": weights.name, "weights_sha256": files.digest([weights])}
        edge, mean, std = (network.pretrained_cfg[name] for name in ("input_size", "mean", "std"))
        edge = edge[1:]
    canvas = sides(edge if size is None else size)
    features = _normalised(network.requires_grad_(False).to(device), mean, std, device)
    return TokenEncoder(encoder, features, canvas, grid, torch.device(device), _told(about, canvas, grid))


def _told(about: dict, canvas: tuple[int, int], grid: tuple[int, int] | None) -> dict:
    return about | {"size": list(canvas), "grid": None if grid is None else list(grid)}


def _normalised(network: nn.Module, mean: Sequence[float], std: Sequence[float], device) -> Callable[[Tensor], Tensor]:
    mean, std = (torch.tensor(values, device=device)[:, None, None] for values in (mean, std))
    return lambda x: feature_map(network, (x.expand(-1, 3, -1, -1) / 255 - mean) / std)


def feature_map(network: nn.Module, pixels: Tensor) -> Tensor:
    """What stands before the pooling of a classifier of timm, float [B, C, h, w].

    Of a vision transformer these are its patch tokens without the class and register tokens.

    Args:
        pixels: float [B, 3, H, W], normalised.
    """
    found = network.forward_features(pixels)
    if found.ndim == 3:
        patches = found[:, getattr(network, "num_prefix_tokens", 0) :]
        grid = network.patch_embed.dynamic_feat_size(pixels.shape[-2:])
        return patches.transpose(1, 2).unflatten(2, grid)
    return found.permute(0, 3, 1, 2) if getattr(network, "output_fmt", "NCHW") == "NHWC" else found


def encode_cases(encoder: TokenEncoder, cases: Iterable[tuple[str, np.ndarray]]) -> TokenStore:
    """Tokens of cases given as (id, uint8 (H, W)), in their order; each image is asked for when its turn comes.

    Raises:
        InputError: no case, an id that comes twice, or an image that cannot be encoded, named by its case.
    """
    found: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    for name, image in cases:
        if name in found:
            raise InputError(f"case '{name}' comes twice; give each case an id of its own")
        try:
            found[name] = encoder.encode(image)
        except InputError as error:
            raise InputError(f"case '{name}': {error}") from None
    if not found:
        raise InputError("no images to extract deep features from; give a cohort that holds some")
    tokens, means = (np.stack(values) for values in zip(*found.values(), strict=True))
    return TokenStore(tuple(found), tokens, means, encoder.about)
