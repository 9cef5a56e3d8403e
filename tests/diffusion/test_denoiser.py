import pytest
import torch
from torch import nn

from pipeline.diffusion.denoiser.preconditioning import Edm, build_unet, denoise, denoising_loss

SIGMAS = torch.tensor([0.002, 0.5, 80.0])


def test_edm_is_table_1_of_the_paper():
    edm = Edm(0.5)
    torch.testing.assert_close(edm.c_skip(SIGMAS), 0.25 / (SIGMAS**2 + 0.25))
    torch.testing.assert_close(edm.c_out(SIGMAS), 0.5 * SIGMAS / (SIGMAS**2 + 0.25).sqrt())
    # Input and target of the network have unit variance at every noise level (eqs. 114-117).
    torch.testing.assert_close(edm.c_in(SIGMAS) ** 2 * (SIGMAS**2 + 0.25), torch.ones(3))
    assert edm.c_noise(torch.tensor([1.0])).item() == 0


class Oracle(nn.Module):
    """A network that knows the clean image and answers what makes D(x) = image."""

    def __init__(self, image, edm, sigma):
        super().__init__()
        self.image, self.edm, self.sigma = image, edm, sigma

    def forward(self, patches, timesteps):
        noisy = patches[:, :1] / self.edm.c_in(self.sigma)
        target = (self.image - self.edm.c_skip(self.sigma) * noisy) / self.edm.c_out(self.sigma)
        return type("Output", (), {"sample": target})


def test_loss_of_a_perfect_denoiser_is_zero():
    edm, sigma = Edm(0.5), torch.tensor(0.7)
    image, noise = torch.rand(2, 1, 8, 8) - 0.5, torch.randn(2, 1, 8, 8)
    oracle = Oracle(image, edm, sigma)
    loss = denoising_loss(oracle, image, torch.zeros(2, 3, 8, 8), noise, sigma.expand(2), 1, edm)
    assert loss.item() == pytest.approx(0, abs=1e-10)


@pytest.mark.parametrize("patch", [1, 2, 4])
def test_denoised_image_has_the_shape_of_the_image(patch):
    unet = build_unet(32, (16, 16), 1, patch, n_planes=5)
    out = denoise(unet, torch.randn(2, 1, 32, 32), torch.randn(2, 5, 32, 32), torch.ones(2), patch, Edm(0.5))
    assert out.shape == (2, 1, 32, 32)


def test_the_networks_error_counts_alike_at_every_noise_level():
    """A network that answers zero where one is right has an error of one, whatever the noise."""
    edm, image = Edm(0.5), torch.zeros(3, 1, 8, 8)
    oracle = Oracle(image, edm, SIGMAS[:, None, None, None])
    off = lambda patches, timesteps: type("Output", (), {"sample": oracle(patches, timesteps).sample + 1})  # noqa: E731
    for sigma in SIGMAS:
        oracle.sigma = sigma
        loss = denoising_loss(off, image, torch.zeros(3, 3, 8, 8), torch.randn_like(image), sigma.expand(3), 1, edm)
        assert loss.item() == pytest.approx(1, rel=1e-3)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_the_network_computes_in_the_precision_of_its_weights(dtype):
    unet = build_unet(32, (16, 16), 1, 2, n_planes=5).to(dtype)
    out = denoise(unet, torch.randn(2, 1, 32, 32), torch.randn(2, 5, 32, 32), torch.ones(2), 2, Edm(0.5))
    assert out.dtype == torch.float32 and out.isfinite().all()
