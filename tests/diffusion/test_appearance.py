"""What an image looks like as numbers: directions, invariances, and draws that keep the joint distribution."""

import numpy as np
import pytest
import torch
from scipy import ndimage

from pipeline.diffusion.appearance import LIMIT, NUMBERS, AppearanceBank, measure_appearance

SECTOR = np.hypot(*(np.mgrid[:128, :128] - 64)) < 56


def image(level=100.0, grain=20.0, length=1.0, slope=0.0, lateral=None) -> np.ndarray:
    noise = np.random.default_rng(0).normal(size=(128, 128))
    smooth = ndimage.gaussian_filter(noise, (length, lateral or length))
    depth = np.linspace(-0.5, 0.5, 128)[:, None]
    grey = (level + grain * smooth / smooth.std()) * (1 + slope * depth)
    return np.where(SECTOR, np.clip(grey, 0, 255), 0).astype(np.uint8)


def measured(**options) -> dict[str, float]:
    return dict(zip(NUMBERS, measure_appearance(image(**options), SECTOR), strict=True))


@pytest.mark.parametrize(
    ("number", "less", "more"),
    [
        ("brightness", {"level": 60}, {"level": 120}),
        ("contrast", {"grain": 10}, {"grain": 30}),
        ("gain_far", {"slope": -0.5}, {"slope": 0.5}),
        ("gain_near", {"slope": 0.5}, {"slope": -0.5}),
        ("sharpness", {"length": 3}, {"length": 1}),
        ("axial", {"length": 0.8, "lateral": 2}, {"length": 2, "lateral": 2}),
        ("lateral", {"length": 2, "lateral": 0.8}, {"length": 2, "lateral": 2}),
    ],
)
def test_each_number_moves_with_what_it_measures(number, less, more):
    assert measured(**less)[number] < measured(**more)[number] - 0.03


def test_brightness_is_the_mean_inside_the_sector():
    assert measured()["brightness"] == pytest.approx(100 / 255, abs=0.01)
    assert measured()["contrast"] == pytest.approx(20 / 255, rel=0.1)


def test_a_mirror_changes_nothing_and_a_turn_swaps_the_lengths():
    plain, mirrored = measured(length=1, lateral=2), dict.fromkeys(NUMBERS)
    mirrored.update(zip(NUMBERS, measure_appearance(image(length=1, lateral=2)[:, ::-1], SECTOR[:, ::-1]), strict=True))
    assert mirrored == pytest.approx(plain, abs=1e-4)
    turned = dict(zip(NUMBERS, measure_appearance(image(length=1, lateral=2).T, SECTOR.T), strict=True))
    assert turned["axial"] == pytest.approx(plain["lateral"], abs=0.02)


@pytest.mark.parametrize("level", [0, 9, 255])
@pytest.mark.parametrize("sector", [SECTOR, np.zeros_like(SECTOR), np.ones_like(SECTOR)])
def test_every_image_has_finite_numbers(level, sector):
    assert np.isfinite(measure_appearance(np.full((128, 128), level, np.uint8), sector)).all()


def test_draws_keep_mean_spread_and_correlation():
    rng = np.random.default_rng(0)
    base = rng.normal(size=(60, 1))
    rows = torch.from_numpy(
        np.concatenate([base, 2 * base + 0.2 * rng.normal(size=(60, 1)), rng.normal(size=(60, 5))], 1)
    )
    bank, generator = AppearanceBank(rows), torch.Generator().manual_seed(0)
    draws = torch.stack([bank.draw(generator) for _ in range(4000)])
    assert draws.mean(dim=0).abs().max() < 0.06 and (draws.std(dim=0) - 1).abs().max() < 0.06
    assert np.corrcoef(draws.T.numpy())[0, 1] == pytest.approx(np.corrcoef(rows.T.numpy())[0, 1], abs=0.02)
    assert torch.equal(bank.draw(torch.Generator().manual_seed(5)), bank.draw(torch.Generator().manual_seed(5)))


def test_standardised_numbers_are_bounded_and_one_image_is_a_bank():
    bank = AppearanceBank(torch.tensor([[0.1] * 7]))
    assert bank.standardised(torch.full((1, 7), 1e6)).max() == LIMIT
    assert bank.draw(torch.Generator().manual_seed(0)).abs().max() == 0
