"""The contrastive term: two networks' representations of one image are alike, those of different images are not."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from pipeline.run import processes


class Projection(nn.Module):
    """Features float [B, C, h, w] → unit vectors [B, D]: mean over the grid, then two layers."""

    def __init__(self, channels: int, dimension: int):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(channels, channels), nn.ReLU(), nn.Linear(channels, dimension))

    def forward(self, features: Tensor) -> Tensor:
        return functional.normalize(self.layers(features.mean(dim=(2, 3))), dim=1)


def info_nce(first: Tensor, second: Tensor, images: Tensor, temperature: float) -> Tensor:
    """InfoNCE of pairs (van den Oord et al. 2018), each of both networks' vectors against all of the other's; with
    gradient to both.

    Args:
        first, second: unit vectors float [B, D] of the same B images, of two networks.
        images: int64 [B], numbers of the images: of one image drawn twice neither is the other's negative.

    Of several processes each has its own images as anchors, and all of all processes as candidates.
    """
    own, everyone = images, processes.gathered(images)
    offset = processes.rank() * len(own)
    pairs = torch.arange(len(own), device=own.device) + offset
    twin = own[:, None] == everyone[None]
    twin[torch.arange(len(own)), pairs] = False
    losses = []
    for anchors, others in ((first, second), (second, first)):
        likeness = anchors @ processes.gathered(others).T / temperature
        losses.append(functional.cross_entropy(likeness.masked_fill(twin, float("-inf")), pairs))
    return torch.stack(losses).mean()
