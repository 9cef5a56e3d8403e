import pytest
import torch
from torch import nn

from pipeline.config.diffusion import Ema
from pipeline.diffusion.pixel.denoiser import FORMULATIONS, Edm, Flow, build_unet, denoise, denoising_loss, loss_weight
from pipeline.diffusion.pixel.ema import PowerEMA, build_ema, power_exponent

SIGMAS = torch.tensor([0.002, 0.5, 80.0])


def test_edm_is_table_1_of_the_paper():
    edm = Edm(0.5)
    torch.testing.assert_close(edm.c_skip(SIGMAS), 0.25 / (SIGMAS**2 + 0.25))
    torch.testing.assert_close(loss_weight(SIGMAS, "uniform", edm), (SIGMAS**2 + 0.25) / (0.5 * SIGMAS) ** 2)
    # Input and target of the network have unit variance at every noise level (eqs. 114-117).
    torch.testing.assert_close(edm.c_in(SIGMAS) ** 2 * (SIGMAS**2 + 0.25), torch.ones(3))
    assert edm.c_noise(torch.tensor([1.0])).item() == 0


def test_flow_is_a_straight_line_between_image_and_noise():
    flow, image, noise = Flow(0.5), torch.randn(3), torch.randn(3)
    t = SIGMAS / (SIGMAS + 0.5)
    noisy = image + SIGMAS * noise
    torch.testing.assert_close(flow.c_in(SIGMAS) * noisy, (1 - t) * image / 0.5 + t * noise)
    torch.testing.assert_close(flow.c_noise(SIGMAS), t)
    velocity = noise - image / 0.5
    denoised = flow.c_skip(SIGMAS) * noisy + flow.c_out(SIGMAS) * velocity
    torch.testing.assert_close(denoised, image, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("formulation", FORMULATIONS.values())
def test_uniform_weighting_counts_the_networks_error_alike_everywhere(formulation):
    preconditioning = formulation(0.5)
    weighted = loss_weight(SIGMAS, "uniform", preconditioning) * preconditioning.c_out(SIGMAS) ** 2
    torch.testing.assert_close(weighted, torch.ones(3))
    soft = loss_weight(SIGMAS, "soft_min_snr", preconditioning) * preconditioning.c_out(SIGMAS) ** 2
    assert soft[1] == pytest.approx(0.25) and soft[0] < 0.01 and soft[2] < 0.01


class Oracle(nn.Module):
    """A network that knows the clean image and answers what makes D(x) = image."""

    def __init__(self, image, preconditioning, sigma):
        super().__init__()
        self.image, self.preconditioning, self.sigma = image, preconditioning, sigma

    def forward(self, patches, timesteps):
        noisy = patches[:, :1] / self.preconditioning.c_in(self.sigma)
        target = (self.image - self.preconditioning.c_skip(self.sigma) * noisy) / self.preconditioning.c_out(self.sigma)
        return type("Output", (), {"sample": target})


@pytest.mark.parametrize("formulation", FORMULATIONS.values())
def test_loss_of_a_perfect_denoiser_is_zero(formulation):
    preconditioning, sigma = formulation(0.5), torch.tensor(0.7)
    image, noise = torch.rand(2, 1, 8, 8) - 0.5, torch.randn(2, 1, 8, 8)
    oracle = Oracle(image, preconditioning, sigma)
    loss = denoising_loss(oracle, image, torch.zeros(2, 3, 8, 8), noise, sigma.expand(2), 1, preconditioning)
    assert loss.item() == pytest.approx(0, abs=1e-10)


@pytest.mark.parametrize("patch", [1, 2, 4])
def test_denoised_image_has_the_shape_of_the_image(patch):
    unet = build_unet(32, (16, 16), 1, patch, n_planes=5)
    out = denoise(unet, torch.randn(2, 1, 32, 32), torch.randn(2, 5, 32, 32), torch.ones(2), patch, Edm(0.5))
    assert out.shape == (2, 1, 32, 32)


@pytest.mark.parametrize("width", [0.05, 0.1, 0.2])
def test_power_average_has_the_width_it_is_named_by(width):
    """The profile weights step τ of t by τ^γ; its standard deviation over t is σ_rel."""
    gamma = power_exponent(width)
    # Of the density (γ + 1) τ^γ on [0, 1]: a beta distribution.
    assert (gamma + 1) ** 0.5 / ((gamma + 2) * (gamma + 3) ** 0.5) == pytest.approx(width, rel=1e-6)


def test_power_average_is_the_weighted_mean_of_the_weights_so_far():
    weight = nn.Parameter(torch.zeros(1))
    ema = PowerEMA([weight], 0.1)
    values = [1.0, 4.0, 2.0, 7.0, 3.0]
    for value in values:
        weight.data.fill_(value)
        ema.step([weight])
    expected = 0.0
    for t, value in enumerate(values, start=1):
        beta = (1 - 1 / t) ** (ema.gamma + 1)
        expected = beta * expected + (1 - beta) * value
    assert ema.shadow_params[0].item() == pytest.approx(expected, rel=1e-5)


def test_the_profile_chooses_the_average():
    weights = [nn.Parameter(torch.zeros(1))]
    assert isinstance(build_ema(weights, Ema(profile="power", decay=0.999, width=0.1)), PowerEMA)
    warmup = build_ema(weights, Ema(profile="warmup", decay=0.9, width=0.1))
    assert not isinstance(warmup, PowerEMA) and warmup.get_decay(10_000) == 0.9 and warmup.get_decay(2) < 0.7
