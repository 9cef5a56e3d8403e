"""The preconditioned denoiser over a diffusers U-Net.

    D(z; σ) = c_skip(σ) z + c_out(σ) F(c_in(σ) z, condition; c_noise(σ)),    z = code + σ noise

Codes are standardised (see ``codes.code``): c_skip, c_out and c_in are those of each channel's standard deviation.
"""

from dataclasses import dataclass

import torch
from diffusers import UNet2DModel
from torch import Tensor

TIME_SCALE = 1000.0
"""c_noise is about -2 to 1; the sinusoidal embedding resolves steps of about one."""


@dataclass(frozen=True)
class Preconditioning:
    """What the network F predicts, and what D makes of it.

    velocity: Karras et al. 2022 (arXiv 2206.00364), table 1, column "Ours": F has unit variance in and out; up to a
    factor the velocity of Salimans and Ho 2022 (arXiv 2202.00512). noise: F is the noise, D = z - σ F. image: F is the
    code over its standard deviation.

    sigma_data: float [C], standard deviation of the code's channels. The factors of noise levels σ, float [B, 1, 1, 1],
    are float [B, C, 1, 1] or broadcast to it.
    """

    sigma_data: Tensor
    prediction: str = "velocity"

    @property
    def _data(self) -> Tensor:
        return self.sigma_data[:, None, None]

    def c_skip(self, sigma: Tensor) -> Tensor:
        if self.prediction == "velocity":
            return self._data**2 / (sigma**2 + self._data**2)
        return torch.full_like(sigma, 1.0 if self.prediction == "noise" else 0.0)

    def c_out(self, sigma: Tensor) -> Tensor:
        if self.prediction == "velocity":
            return sigma * self._data / (sigma**2 + self._data**2).sqrt()
        return -sigma if self.prediction == "noise" else self._data

    def c_in(self, sigma: Tensor) -> Tensor:
        return 1 / (sigma**2 + self._data**2).sqrt()

    def c_noise(self, sigma: Tensor) -> Tensor:
        return sigma.log() / 4

    def weight(self, sigma: Tensor) -> Tensor:
        """λ(σ) of the squared error of D: that of EDM, eq. 8, whatever F predicts."""
        return (sigma**2 + self._data**2) / (sigma * self._data) ** 2

    def to(self, device) -> "Preconditioning":
        return Preconditioning(self.sigma_data.to(device), self.prediction)


def build_unet(grid: int, code_channels: int, n_channels: int, channels: tuple[int, ...], layers: int) -> UNet2DModel:
    """Random weights under torch's generator; attention at the coarsest level only.

    Args:
        grid: cells along an edge of the code. n_channels: of the condition.
        channels: of each level. layers: residual blocks of each level.
    """
    levels = len(channels)
    return UNet2DModel(
        sample_size=grid,
        in_channels=code_channels + n_channels,
        out_channels=code_channels,
        block_out_channels=channels,
        layers_per_block=layers,
        down_block_types=("DownBlock2D",) * (levels - 1) + ("AttnDownBlock2D",),
        up_block_types=("AttnUpBlock2D",) + ("UpBlock2D",) * (levels - 1),
        norm_num_groups=8,
        attention_head_dim=min(32, channels[-1]),
    )


def denoise(unet, noisy: Tensor, condition: Tensor, sigma: Tensor, edm: Preconditioning) -> Tensor:
    """D: the denoised codes [B, C, s, s] of noisy ones at noise levels σ [B], under a condition [B, P, s, s].

    The network computes in the precision of its weights, the rest in that of the codes.
    """
    s = sigma[:, None, None, None]
    inputs = torch.cat([edm.c_in(s) * noisy, condition], dim=1).contiguous(memory_format=torch.channels_last)
    f = unet(inputs.to(getattr(unet, "dtype", inputs.dtype)), edm.c_noise(sigma) * TIME_SCALE).sample
    return edm.c_skip(s) * noisy + edm.c_out(s) * f.float()


def denoising_loss(
    unet,
    codes: Tensor,
    condition: Tensor,
    noise: Tensor,
    sigma: Tensor,
    edm: Preconditioning,
    emphasis: Tensor | None = None,
) -> Tensor:
    """Squared error of D, mean over channels, cells and batch, weighted so that it counts alike at every noise level.

    Args:
        codes, noise: float [B, C, s, s]; noise is standard normal.
        sigma: float [B], the noise levels.
        emphasis: float [C], what the error of each channel counts; None for 1.
    """
    s = sigma[:, None, None, None]
    denoised = denoise(unet, codes + s * noise, condition, sigma, edm)
    weight = edm.weight(s) if emphasis is None else edm.weight(s) * emphasis[:, None, None]
    return (weight * (denoised - codes) ** 2).mean()
