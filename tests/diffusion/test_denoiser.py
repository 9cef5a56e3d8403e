import math

import numpy as np
import pytest
import torch
from torch import nn

from pipeline.core.resume import Scratch
from pipeline.diffusion.denoiser import Preconditioning, build_unet, denoising_loss
from pipeline.diffusion.training import learning_rate, standardise, train_denoiser, training_batch


def test_preconditioning_is_table_1_of_the_paper():
    edm, sigma = Preconditioning(0.5), torch.tensor([0.002, 0.5, 80.0])
    torch.testing.assert_close(edm.c_skip(sigma), 0.25 / (sigma**2 + 0.25))
    torch.testing.assert_close(edm.c_out(sigma) ** 2 * edm.weight(sigma), torch.ones(3))
    # Input and target of the network have unit variance at every noise level (eqs. 114-117).
    torch.testing.assert_close(edm.c_in(sigma) ** 2 * (sigma**2 + 0.25), torch.ones(3))
    assert edm.c_noise(torch.tensor([1.0])).item() == 0


class Oracle(nn.Module):
    """A network that knows the clean image and answers what makes D(x) = image."""

    def __init__(self, image, edm, sigma):
        super().__init__()
        self.answer = None
        self.image, self.edm, self.sigma = image, edm, sigma

    def forward(self, patches, timesteps):
        noisy = patches[:, :1] / self.edm.c_in(self.sigma)
        target = (self.image - self.edm.c_skip(self.sigma) * noisy) / self.edm.c_out(self.sigma)
        return type("Output", (), {"sample": target})


def test_loss_of_a_perfect_denoiser_is_zero():
    edm, sigma = Preconditioning(0.5), torch.tensor(0.7)
    image, noise = torch.rand(2, 1, 8, 8) - 0.5, torch.randn(2, 1, 8, 8)
    loss = denoising_loss(Oracle(image, edm, sigma), image, torch.zeros(2, 3, 8, 8), noise, sigma.expand(2), 1, edm)
    assert loss.item() == pytest.approx(0, abs=1e-10)


def test_standardised_images_have_the_assumed_spread():
    images = np.random.default_rng(0).uniform(-1, 0, (4, 1, 16, 16)).astype(np.float32)
    scaled, mean, std = standardise(images, 0.5)
    assert scaled.mean() == pytest.approx(0, abs=1e-5) and scaled.std() == pytest.approx(0.5, rel=1e-4)
    np.testing.assert_allclose(scaled / 0.5 * std + mean, images, atol=1e-5)


@pytest.mark.parametrize("patch", [1, 2, 4])
def test_network_output_has_the_shape_of_the_image(patch):
    from pipeline.diffusion.denoiser import network

    unet = build_unet(32, (16, 16), 1, patch, n_structures=2)
    out = network(unet, torch.randn(2, 1, 32, 32), torch.randn(2, 5, 32, 32), torch.zeros(2), patch)
    assert out.shape == (2, 1, 32, 32)


@pytest.fixture(scope="module")
def pool():
    rng = np.random.default_rng(0)
    masks = np.zeros((4, 32, 32), np.uint8)
    masks[:, 8:24, 8:24] = 1
    return rng.normal(0, 0.5, (4, 1, 32, 32)).astype(np.float32), masks, np.ones((4, 32, 32), bool)


def test_batches_are_functions_of_seed_and_step(pool, smoke_config):
    tensors = [torch.from_numpy(part) for part in pool]
    params = smoke_config.diffusion
    first, again, other = (training_batch(*tensors, 1, params, 3, step) for step in (5, 5, 6))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first[2], other[2])


def test_noise_levels_follow_the_log_normal(pool, smoke_config):
    tensors = [torch.from_numpy(part) for part in pool]
    params = smoke_config.diffusion.model_copy(update={"batch": 64})
    logs = torch.cat([training_batch(*tensors, 1, params, 0, step)[3] for step in range(20)]).log()
    assert logs.mean() == pytest.approx(params.p_mean, abs=0.03)
    assert logs.std() == pytest.approx(params.p_std, abs=0.04)


def test_mask_dropout_keeps_its_share(pool, smoke_config):
    tensors = [torch.from_numpy(part) for part in pool]
    params = smoke_config.diffusion.model_copy(update={"batch": 64, "mask_dropout": 0.25})
    planes = torch.cat([training_batch(*tensors, 1, params, 0, step)[1] for step in range(10)])
    dropped = (planes[:, 1] == 0).all(dim=(1, 2)).float().mean().item()
    assert dropped == pytest.approx(0.25, abs=4 * math.sqrt(0.25 * 0.75 / 640))


def test_learning_rate_warms_up_and_falls(smoke_config):
    params = smoke_config.diffusion.model_copy(update={"steps": 100, "warmup_steps": 10})
    rates = [learning_rate(step, params) / params.learning_rate for step in range(100)]
    assert rates[0] == pytest.approx(0.1) and rates[50] == 1 and rates[-1] == pytest.approx(0.1)


class Killed(Exception):
    pass


def test_interrupted_and_resumed_equals_uninterrupted(pool, smoke_config, tmp_path):
    params = smoke_config.diffusion.model_copy(update={"steps": 12, "checkpoint_every": 5})

    def train(scratch, on_step=lambda step, loss: None):
        return train_denoiser(*pool, 1, params, 0, scratch, torch.device("cpu"), on_step)

    def kill(step, loss):
        if step == 7:
            raise Killed

    whole = train(Scratch(tmp_path / "a", "d", []))
    scratch, seen = Scratch(tmp_path / "b", "d", []), []
    with pytest.raises(Killed):
        train(scratch, kill)
    assert scratch.load()["step"] == 5
    resumed = train(scratch, lambda step, loss: seen.append(step))
    assert seen == list(range(12)), "the loss curve of a resumed run is whole"
    for a, b in zip(whole.state_dict().values(), resumed.state_dict().values(), strict=True):
        assert torch.equal(a, b)
