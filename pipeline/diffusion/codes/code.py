"""An image code: images → channels on a coarser grid, and back.

A code is fixed before the denoiser is trained. Its channels are centred and scaled by what the training images have in
them, so that noise of one level means the same to every code:

    z_c = σ_data (r_c - mean_c) / s_c,   s_c = sd_c^w · rms(sd)^(1-w)

With w = 1 (``whitening``) all channels have the standard deviation σ_data; with w = 0 they keep their ratios, and fine
structure drowns in noise before coarse structure does, as in pixels.
"""

from abc import abstractmethod

import torch
from torch import Tensor, nn

BATCH = 16
BLACK = -1 + 4 / 127.5
HEADROOM = 0.25
"""Of codes that are free to have some, in units of the image's range of 2."""
LEAST = 1e-3
"""Standard deviation of a code, in units of the image's range, below which its images are taken for all alike."""
SIGMA_DATA = 0.5
"""Of every code, as in Karras et al. 2022 (arXiv 2206.00364)."""


def darkened(images: Tensor, sectors: Tensor, headroom: float) -> Tensor:
    """The images with what is black outside the sector moved below black, by ``headroom``.

    Outside the sector a pixel is black by geometry, not dark by chance. What a generator leaves of noise there is then
    cut off where the image is cut to its range, instead of showing as a grey haze.

    Args:
        images: float [B, 1, S, S] in [-1, 1]. sectors: bool [B, S, S].
    """
    black = ~sectors[:, None] & (images < BLACK)
    return images - headroom * black


class Code(nn.Module):
    """channels: C of the code. factor: pixels along a cell of its grid. Each is a model of diffusers too.

    headroom: how far below black, -1, it can tell values apart: 0 for networks that were trained on images.

    The buffers ``mean`` and ``scale``, float [C], are set by :meth:`standardise`; ``sigma_data`` is then the standard
    deviation of every channel of a standardised code, and ``spread`` that of the code itself over their root mean
    square.
    """

    channels: int
    factor: int
    headroom = 0.0

    def _channels(self, channels: int, factor: int) -> None:
        self.channels, self.factor = channels, factor
        for name in ("mean", "scale", "sigma_data", "spread"):
            self.register_buffer(name, torch.zeros(channels) if name == "mean" else torch.ones(channels))

    @abstractmethod
    def raw(self, images: Tensor) -> Tensor:
        """float [B, C, S/f, S/f] of images float [B, 1, S, S] in [-1, 1]."""

    @abstractmethod
    def images(self, raw: Tensor) -> Tensor:
        """float [B, 1, S, S] in about [-1, 1]."""

    @torch.no_grad()
    def encode(self, images: Tensor) -> Tensor:
        """The standardised code, float [B, C, S/f, S/f], of images float [B, 1, S, S] in [-1, 1]."""
        return (self.raw(images) - self.mean[:, None, None]) * self.scale[:, None, None]

    @torch.no_grad()
    def decode(self, codes: Tensor) -> Tensor:
        """float [B, 1, S, S] in about [-1, 1] of standardised codes."""
        return self.images(codes / self.scale[:, None, None] + self.mean[:, None, None])

    def standardise(self, images: Tensor, whitening: float) -> None:
        """Measure mean and standard deviation of every channel on images, float [N, 1, S, S] in [-1, 1].

        Args:
            whitening: w in [0, 1], see above.
        """
        totals = torch.zeros(3, self.channels, dtype=torch.float64)
        for part in images.split(BATCH):
            codes = self.raw(part).double()
            totals += torch.stack([torch.ones(self.channels) * codes[:, 0].numel(), *_sums(codes)])
        count, first, second = totals
        mean = first / count
        std = (second / count - mean**2).clamp_min(0).sqrt()
        overall = std.square().mean().sqrt().clamp_min(LEAST)
        divisor = std.clamp_min(1e-3 * overall) ** whitening * overall ** (1 - whitening)
        self.mean.copy_(mean)
        self.scale.copy_(SIGMA_DATA / divisor)
        self.sigma_data.copy_(std / divisor * SIGMA_DATA)
        self.spread.copy_(std / overall)


def _sums(codes: Tensor) -> tuple[Tensor, Tensor]:
    return codes.sum(dim=(0, 2, 3)), codes.square().sum(dim=(0, 2, 3))
