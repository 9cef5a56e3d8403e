import pytest
import torch
from torch import nn

from pipeline.diffusion.denoiser.preconditioning import Preconditioning, build_unet, denoise, denoising_loss

SIGMAS = torch.tensor([0.002, 0.5, 80.0])[:, None, None, None]
DATA = torch.tensor([0.5, 0.1])
"""Of a code of two channels."""
PREDICTIONS = ["velocity", "noise", "image"]


def test_velocity_is_table_1_of_the_paper():
    edm, sigma = Preconditioning(torch.tensor([0.5])), SIGMAS
    torch.testing.assert_close(edm.c_skip(sigma), 0.25 / (sigma**2 + 0.25))
    torch.testing.assert_close(edm.c_out(sigma), 0.5 * sigma / (sigma**2 + 0.25).sqrt())
    # Input and target of the network have unit variance at every noise level (eqs. 114-117).
    torch.testing.assert_close(edm.c_in(sigma) ** 2 * (sigma**2 + 0.25), torch.ones_like(sigma))
    torch.testing.assert_close(edm.weight(sigma), 1 / edm.c_out(sigma) ** 2)
    assert edm.c_noise(torch.tensor([1.0])).item() == 0


def test_every_channel_has_its_own_standard_deviation():
    both = Preconditioning(DATA)
    for c, value in enumerate(DATA):
        alone = Preconditioning(value[None])
        for name in ("c_skip", "c_out", "c_in", "weight"):
            torch.testing.assert_close(getattr(both, name)(SIGMAS)[:, c : c + 1], getattr(alone, name)(SIGMAS))


class Oracle(nn.Module):
    """A network that knows the clean code and answers what makes D = code, or that and ``off``."""

    def __init__(self, code, edm, sigma, off=0.0):
        super().__init__()
        self.code, self.edm, self.sigma, self.off = code, edm, sigma, off

    def forward(self, inputs, timesteps):
        noisy = inputs[:, : self.code.shape[1]] / self.edm.c_in(self.sigma)
        target = (self.code - self.edm.c_skip(self.sigma) * noisy) / self.edm.c_out(self.sigma)
        return type("Output", (), {"sample": target + self.off})


@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_loss_of_a_perfect_denoiser_is_zero(prediction):
    edm, sigma = Preconditioning(DATA, prediction), torch.tensor(0.7)
    code, noise = torch.rand(2, 2, 8, 8) - 0.5, torch.randn(2, 2, 8, 8)
    oracle = Oracle(code, edm, sigma)
    loss = denoising_loss(oracle, code, torch.zeros(2, 3, 8, 8), noise, sigma.expand(2), edm)
    assert loss.item() == pytest.approx(0, abs=1e-8)


def test_the_noise_prediction_is_the_noise():
    """With the noise as the network's answer D is the code."""
    edm, code, noise = Preconditioning(DATA, "noise"), torch.rand(1, 2, 4, 4), torch.randn(1, 2, 4, 4)
    network = lambda inputs, timesteps: type("Output", (), {"sample": noise})  # noqa: E731
    found = denoise(network, code + 3 * noise, torch.zeros(1, 1, 4, 4), torch.tensor([3.0]), edm)
    torch.testing.assert_close(found, code, atol=1e-5, rtol=0)


def test_denoised_code_has_the_shape_of_the_code():
    unet = build_unet(16, 4, 5, (16, 16), 1)
    out = denoise(
        unet, torch.randn(2, 4, 16, 16), torch.randn(2, 5, 16, 16), torch.ones(2), Preconditioning(torch.ones(4))
    )
    assert out.shape == (2, 4, 16, 16)


def test_the_networks_error_counts_alike_at_every_noise_level_and_in_every_channel():
    """A network that is off by one where one is right has an error of one, whatever the noise."""
    edm, code = Preconditioning(DATA), torch.zeros(3, 2, 8, 8)
    for sigma in SIGMAS:
        oracle = Oracle(code, edm, sigma, off=1.0)
        loss = denoising_loss(
            oracle, code, torch.zeros(3, 3, 8, 8), torch.randn_like(code), sigma.flatten().expand(3), edm
        )
        assert loss.item() == pytest.approx(1, rel=1e-3)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_the_network_computes_in_the_precision_of_its_weights(dtype):
    unet = build_unet(16, 4, 5, (16, 16), 1).to(dtype)
    out = denoise(
        unet, torch.randn(2, 4, 16, 16), torch.randn(2, 5, 16, 16), torch.ones(2), Preconditioning(torch.ones(4))
    )
    assert out.dtype == torch.float32 and out.isfinite().all()
