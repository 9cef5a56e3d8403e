"""The preconditioned denoiser over a diffusers U-Net.

    D(x; σ) = c_skip(σ) x + c_out(σ) F(c_in(σ) x, condition; c_noise(σ)),    x = image + σ noise

The network F works on pixel-unshuffled patches: the same receptive field for a fraction of the arithmetic.
"""

from dataclasses import dataclass

import torch
from diffusers import UNet2DModel
from torch import Tensor
from torch.nn import functional

TIME_SCALE = 1000.0
"""c_noise is about -2 to 1; the sinusoidal embedding resolves steps of about one."""


@dataclass(frozen=True)
class Edm:
    """Karras et al. 2022 (arXiv 2206.00364), table 1, column "Ours": F has unit variance in and out."""

    sigma_data: float

    def c_skip(self, sigma: Tensor) -> Tensor:
        return self.sigma_data**2 / (sigma**2 + self.sigma_data**2)

    def c_out(self, sigma: Tensor) -> Tensor:
        return sigma * self.sigma_data / (sigma**2 + self.sigma_data**2).sqrt()

    def c_in(self, sigma: Tensor) -> Tensor:
        return 1 / (sigma**2 + self.sigma_data**2).sqrt()

    def c_noise(self, sigma: Tensor) -> Tensor:
        return sigma.log() / 4


def build_unet(image_size: int, channels: tuple[int, ...], layers: int, patch: int, n_planes: int) -> UNet2DModel:
    """Random weights under torch's generator; attention at the coarsest level only."""
    levels = len(channels)
    return UNet2DModel(
        sample_size=image_size // patch,
        in_channels=(1 + n_planes) * patch**2,
        out_channels=patch**2,
        block_out_channels=channels,
        layers_per_block=layers,
        down_block_types=("DownBlock2D",) * (levels - 1) + ("AttnDownBlock2D",),
        up_block_types=("AttnUpBlock2D",) + ("UpBlock2D",) * (levels - 1),
        norm_num_groups=8,
        attention_head_dim=min(32, channels[-1]),
    )


def denoise(unet, noisy: Tensor, planes: Tensor, sigma: Tensor, patch: int, edm: Edm) -> Tensor:
    """D: the denoised images [B, 1, S, S] of noisy ones at noise levels σ [B], under planes [B, P, S, S].

    The network computes in the precision of its weights, the rest in that of the images.
    """
    s = sigma[:, None, None, None]
    inputs = torch.cat([edm.c_in(s) * noisy, planes], dim=1)
    patches = functional.pixel_unshuffle(inputs, patch).contiguous(memory_format=torch.channels_last)
    patches = patches.to(getattr(unet, "dtype", patches.dtype))
    f = functional.pixel_shuffle(unet(patches, edm.c_noise(sigma) * TIME_SCALE).sample, patch)
    return edm.c_skip(s) * noisy + edm.c_out(s) * f.float()


def denoising_loss(unet, images: Tensor, planes: Tensor, noise: Tensor, sigma: Tensor, patch: int, edm: Edm) -> Tensor:
    """Squared error of D, mean over pixels and batch, weighted so that F's error counts alike at every noise level.

    The weight is λ(σ) of EDM, eq. 8.

    Args:
        images, noise: float [B, 1, S, S]; noise is standard normal.
        sigma: float [B], the noise levels.
    """
    s = sigma[:, None, None, None]
    denoised = denoise(unet, images + s * noise, planes, sigma, patch, edm)
    return (1 / edm.c_out(s) ** 2 * (denoised - images) ** 2).mean()
