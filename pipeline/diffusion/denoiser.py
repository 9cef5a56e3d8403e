"""The preconditioned denoiser of Karras et al. 2022 (arXiv 2206.00364), eq. 7, over a diffusers U-Net.

    D(x; σ) = c_skip(σ) x + c_out(σ) F(c_in(σ) x, condition; c_noise(σ))

The network F works on pixel-unshuffled patches: the same receptive field for a fraction of the arithmetic.
"""

from dataclasses import dataclass

import torch
from diffusers import UNet2DModel
from torch import Tensor
from torch.nn import functional

from pipeline.diffusion.conditioning import n_planes

TIME_SCALE = 1000.0
"""c_noise is about -2 to 1; the sinusoidal embedding resolves steps of about one."""


@dataclass(frozen=True)
class Preconditioning:
    """Table 1 of the paper, column "Ours"."""

    sigma_data: float

    def c_skip(self, sigma: Tensor) -> Tensor:
        return self.sigma_data**2 / (sigma**2 + self.sigma_data**2)

    def c_out(self, sigma: Tensor) -> Tensor:
        return sigma * self.sigma_data / (sigma**2 + self.sigma_data**2).sqrt()

    def c_in(self, sigma: Tensor) -> Tensor:
        return 1 / (sigma**2 + self.sigma_data**2).sqrt()

    def c_noise(self, sigma: Tensor) -> Tensor:
        return sigma.log() / 4

    def weight(self, sigma: Tensor) -> Tensor:
        """λ(σ): makes the effective weight of F's loss one at every noise level."""
        return (sigma**2 + self.sigma_data**2) / (sigma * self.sigma_data) ** 2


def build_unet(image_size: int, channels: tuple[int, ...], layers: int, patch: int, n_structures: int) -> UNet2DModel:
    """Random weights under torch's generator; attention at the coarsest level only."""
    levels = len(channels)
    return UNet2DModel(
        sample_size=image_size // patch,
        in_channels=(1 + n_planes(n_structures)) * patch**2,
        out_channels=patch**2,
        block_out_channels=channels,
        layers_per_block=layers,
        down_block_types=("DownBlock2D",) * (levels - 1) + ("AttnDownBlock2D",),
        up_block_types=("AttnUpBlock2D",) + ("UpBlock2D",) * (levels - 1),
        norm_num_groups=8,
        attention_head_dim=min(32, channels[-1]),
    )


def network(unet, scaled: Tensor, condition: Tensor, c_noise: Tensor, patch: int) -> Tensor:
    """F: float [B, 1, S, S] (already scaled by c_in), planes [B, P, S, S], c_noise [B] → [B, 1, S, S]."""
    patches = functional.pixel_unshuffle(torch.cat([scaled, condition], dim=1), patch)
    patches = patches.contiguous(memory_format=torch.channels_last)
    return functional.pixel_shuffle(unet(patches, c_noise * TIME_SCALE).sample, patch)


def denoising_loss(
    unet, images: Tensor, condition: Tensor, noise: Tensor, sigma: Tensor, patch: int, edm: Preconditioning
) -> Tensor:
    """Weighted squared error of D (eq. 8), mean over pixels and batch.

    Args:
        images, noise: float [B, 1, S, S]; noise is standard normal.
        sigma: float [B], the noise levels.
    """
    s = sigma[:, None, None, None]
    noisy = images + s * noise
    f = network(unet, edm.c_in(s) * noisy, condition, edm.c_noise(sigma), patch)
    denoised = edm.c_skip(s) * noisy + edm.c_out(s) * f
    return (edm.weight(s) * (denoised - images) ** 2).mean()
