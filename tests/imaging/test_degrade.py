"""Noise, blur and lower resolution."""

import pytest
import torch
from scipy.ndimage import gaussian_filter

from pipeline.config.augmentation import StrongAugment
from pipeline.imaging.augment import degrade

NOTHING = {"flip": False, "rotate_deg": 0.0, "scale": 0.0, "shift": 0.0, "brightness": 0.0, "contrast": 0.0,
           "gamma": 0.0, "probability": 1.0, "noise": 0.0, "blur": 0.0, "low_resolution": 1.0}  # fmt: skip


def degraded(images, seed=0, **changes):
    return degrade(images, StrongAugment(**(NOTHING | changes)), torch.Generator().manual_seed(seed))


@pytest.fixture
def images():
    return torch.rand(8, 1, 32, 32, generator=torch.Generator().manual_seed(1)) * 1.6 - 0.8


def test_none_of_it_changes_nothing(images):
    torch.testing.assert_close(degraded(images), images, atol=1e-6, rtol=0)
    assert torch.equal(degraded(images, probability=0.0, noise=0.5, blur=3.0, low_resolution=0.2), images)


def test_blur_is_scipys(images):
    amount = torch.rand(3, 8, generator=_after_hits())[0]
    for image, sigma, found in zip(images, 1.5 * amount, degraded(images, blur=1.5), strict=True):
        expected = gaussian_filter(image[0].double().numpy(), float(sigma), mode="mirror", radius=_radius(1.5 * amount))
        torch.testing.assert_close(found[0], torch.from_numpy(expected).float(), atol=1e-4, rtol=0)


def _after_hits():
    generator = torch.Generator().manual_seed(0)
    torch.rand(3, 8, generator=generator)
    return generator


def _radius(sigma):
    return max(1, int(3 * float(sigma.max()) + 0.5))


def test_noise_has_at_most_its_standard_deviation_and_leaves_black_black():
    grey = torch.zeros(64, 1, 32, 32)
    grey[:, :, :16] = -1
    found = degraded(grey, noise=0.1)
    assert (found[:, :, :16] == -1).all()
    spread = found[:, :, 16:].std(dim=(1, 2, 3))
    assert spread.max() < 0.21 and spread.min() < 0.02 and 0.08 < spread.mean() < 0.12


def test_lower_resolution_takes_detail_away_and_keeps_what_is_smooth(images):
    row = torch.linspace(-0.8, 0.8, 32).expand(8, 1, 32, 32)
    assert (degraded(row, low_resolution=0.5) - row).abs().max() < 0.12
    assert degraded(images, low_resolution=0.5).diff(dim=-1).abs().mean() < 0.9 * images.diff(dim=-1).abs().mean()


def test_a_share_is_hit_and_equal_seeds_give_equal_batches():
    grey = torch.zeros(400, 1, 8, 8)
    found = degraded(grey, noise=0.1, probability=0.2)
    hit = (found != 0).flatten(1).any(dim=1).float().mean()
    assert 0.14 < hit < 0.26
    assert torch.equal(found, degraded(grey, noise=0.1, probability=0.2))
    assert not torch.equal(found, degraded(grey, seed=1, noise=0.1, probability=0.2))
