"""A finer mask head: mask logits at every pixel of the input, where SAM's decoder stops at four cells per patch side.

High-resolution features of a convolutional pyramid join the decoder's image features on the way up, as in HQ-SAM (Ke et
al. 2023), SAM 2 (Ravi et al. 2024) and every U-Net, and are weighted by the mask token, as the decoder's own are.
"""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

GROUPS = 4


class Pyramid(nn.Module):
    """float [B, 1, H, W] in [-1, 1] → features [B, w, H / 2^i, W / 2^i] of every level i, the finest first.

    Args:
        widths: features of each level; multiples of 4.
    """

    def __init__(self, widths: Sequence[int]):
        super().__init__()
        self.widths = tuple(widths)
        coarser = [_block(fine, coarse, stride=2) for fine, coarse in pairwise(widths)]
        self.levels = nn.ModuleList([_block(1, widths[0]), *coarser])

    def forward(self, images: Tensor) -> list[Tensor]:
        features = []
        for level in self.levels:
            images = level(images)
            features.append(images)
        return features


class DetailHead(nn.Module):
    """Logits of each mask from the decoder's image features and, at every pixel, the pyramid's.

    Args:
        widths: of the pyramid's levels, the finest first; the coarsest has two cells per patch.
        decoder_size: channels of the decoder's image features and of a mask token.
    """

    def __init__(self, widths: Sequence[int], decoder_size: int):
        super().__init__()
        self.enter = nn.Conv2d(decoder_size, widths[-1], 1)
        self.first = _block(2 * widths[-1], widths[-1])
        finer = list(pairwise(widths))[::-1]
        self.reduce = nn.ModuleList(nn.Conv2d(coarse, fine, 1) for fine, coarse in finer)
        self.up = nn.ModuleList(_block(2 * fine, fine) for fine, _ in finer)
        self.weights = nn.Linear(decoder_size, widths[0])

    def forward(self, details: Sequence[Tensor], features: Tensor, tokens: Tensor) -> Tensor:
        """Logits [B, K, H, W].

        Args:
            details: the pyramid's features.
            features: the image as the decoder's transformer leaves it, [B, C, h, w].
            tokens: mask tokens [B, K, C].
        """
        *finer, coarsest = details
        x = self.first(torch.cat([_double(self.enter(features)), coarsest], dim=1))
        for reduce, block, detail in zip(self.reduce, self.up, reversed(finer), strict=True):
            x = block(torch.cat([_double(reduce(x)), detail], dim=1))
        return torch.einsum("bkc,bchw->bkhw", self.weights(tokens), x)

    def silence(self) -> None:
        """Start from logits of zero: added to a pretrained SAM's masks, they change nothing at first."""
        nn.init.zeros_(self.weights.weight)
        nn.init.zeros_(self.weights.bias)


def _double(x: Tensor) -> Tensor:
    return functional.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)


def _block(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    layers = []
    for channels, step in ((inputs, stride), (outputs, 1)):
        layers += [nn.Conv2d(channels, outputs, 3, stride=step, padding=1), nn.GroupNorm(GROUPS, outputs), nn.GELU()]
    return nn.Sequential(*layers)
