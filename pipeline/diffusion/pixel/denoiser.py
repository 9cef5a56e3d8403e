"""The preconditioned denoiser over a diffusers U-Net, in two formulations.

    D(x; σ) = c_skip(σ) x + c_out(σ) F(c_in(σ) x, condition; c_noise(σ))

x = image + σ noise in both, so that one sampler serves both. The network F works on pixel-unshuffled patches: the
same receptive field for a fraction of the arithmetic.
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


@dataclass(frozen=True)
class Flow:
    """Rectified flow (Liu et al. 2022, arXiv 2209.03003) as a preconditioning.

    With t = σ / (σ + σ_data), F sees (1 - t) image / σ_data + t noise and predicts the velocity noise - image / σ_data.
    A log-normal σ is a logit-normal t (Esser et al. 2024, arXiv 2403.03206).
    """

    sigma_data: float

    def c_skip(self, sigma: Tensor) -> Tensor:
        return self.sigma_data / (sigma + self.sigma_data)

    def c_out(self, sigma: Tensor) -> Tensor:
        return -sigma * self.sigma_data / (sigma + self.sigma_data)

    def c_in(self, sigma: Tensor) -> Tensor:
        return 1 / (sigma + self.sigma_data)

    def c_noise(self, sigma: Tensor) -> Tensor:
        return sigma / (sigma + self.sigma_data)


FORMULATIONS = {"edm": Edm, "flow": Flow}
Preconditioning = Edm | Flow


def loss_weight(sigma: Tensor, weighting: str, preconditioning: Preconditioning) -> Tensor:
    """Weight of the squared error of D at noise level σ.

    ``uniform`` makes the weight of F's error one at every level (λ(σ) of EDM, eq. 8); ``soft_min_snr`` multiplies that
    by (σ σ_data)² / (σ² + σ_data²)², which favours the middle levels (Hang et al. 2023, arXiv 2303.09556, softened).
    """
    weight = 1 / preconditioning.c_out(sigma) ** 2
    if weighting == "soft_min_snr":
        sigma_data = preconditioning.sigma_data
        weight = weight * (sigma * sigma_data) ** 2 / (sigma**2 + sigma_data**2) ** 2
    return weight


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


def denoise(unet, noisy: Tensor, planes: Tensor, sigma: Tensor, patch: int, preconditioning: Preconditioning) -> Tensor:
    """D: the denoised images [B, 1, S, S] of noisy ones at noise levels σ [B], under planes [B, P, S, S]."""
    s = sigma[:, None, None, None]
    inputs = torch.cat([preconditioning.c_in(s) * noisy, planes], dim=1)
    patches = functional.pixel_unshuffle(inputs, patch).contiguous(memory_format=torch.channels_last)
    f = functional.pixel_shuffle(unet(patches, preconditioning.c_noise(sigma) * TIME_SCALE).sample, patch)
    return preconditioning.c_skip(s) * noisy + preconditioning.c_out(s) * f.float()


def denoising_loss(
    unet,
    images: Tensor,
    planes: Tensor,
    noise: Tensor,
    sigma: Tensor,
    patch: int,
    preconditioning: Preconditioning,
    weighting: str = "uniform",
) -> Tensor:
    """Weighted squared error of D, mean over pixels and batch.

    Args:
        images, noise: float [B, 1, S, S]; noise is standard normal.
        sigma: float [B], the noise levels.
    """
    s = sigma[:, None, None, None]
    denoised = denoise(unet, images + s * noise, planes, sigma, patch, preconditioning)
    return (loss_weight(s, weighting, preconditioning) * (denoised - images) ** 2).mean()
