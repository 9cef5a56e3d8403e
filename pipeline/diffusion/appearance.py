"""How an image looks, as a few numbers measured from itself: what a generator is told beside the mask.

Images of one mask differ in gain, contrast, depth compensation, focus and grain. A generator that is not told draws
their average. Told, it learns each; and numbers drawn from those of real images give back their spread.
"""

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

NUMBERS = ("brightness", "contrast", "gain_near", "gain_far", "sharpness", "axial", "lateral")
"""Of the grey levels inside the sector, in [0, 1]:

brightness, contrast: mean and standard deviation. gain_near, gain_far: log of the mean in the upper and in the lower
third of the sector's depth, over that of the middle third. sharpness: log of the share of the standard deviation that a
Gaussian blur of 1/256 of the size takes away. axial, lateral: log of the correlation length of what a blur of 1/64
takes away, in shares of the size, from the correlation ρ of neighbours: L = (-2 ln ρ)^(-1/2) for a Gaussian grain.
"""
LIMIT = 4.0
"""Standard deviations at which a number is cut."""
SMOOTHING = 0.3
_DARK = 0.02
_LEAST_PIXELS = 64


def measure_appearance(image: np.ndarray, sector: np.ndarray) -> np.ndarray:
    """float32 (7,), ``NUMBERS`` of a uint8 (S, S) image in a bool (S, S) sector; finite for every image."""
    grey, size = image.astype(np.float32) / 255, len(image)
    if np.count_nonzero(sector) < _LEAST_PIXELS:
        sector = np.ones_like(sector)
    rows = np.flatnonzero(sector.any(axis=1))
    thirds = np.array_split(np.arange(rows[0], rows[-1] + 1), 3)
    near, middle, far = (_mean(grey[third], sector[third]) + _DARK for third in thirds)
    inside = grey[sector]
    contrast = float(inside.std()) + 1e-3
    fine = grey - ndimage.gaussian_filter(grey, max(size / 256, 0.5))
    grain = grey - ndimage.gaussian_filter(grey, max(size / 64, 1.0))
    lengths = [_correlation_length(grain, sector, axis) / size for axis in (0, 1)]
    sharpness = np.log((fine[sector].std() + 1e-4) / contrast)
    gains = np.log([near / middle, far / middle])
    return np.array([inside.mean(), contrast, *gains, sharpness, *np.log(lengths)], dtype=np.float32)


def _mean(grey: np.ndarray, sector: np.ndarray) -> float:
    return float(grey[sector].mean()) if sector.any() else 0.0


def _correlation_length(grain: np.ndarray, sector: np.ndarray, axis: int) -> float:
    """In pixels, between a tenth of one and ten."""
    first, second = (np.moveaxis(values, axis, 0) for values in (grain, sector))
    both = second[:-1] & second[1:]
    here, there = first[:-1][both], first[1:][both]
    power = float((here * here).sum() + (there * there).sum()) / 2
    correlation = float((here * there).sum()) / power if power > 0 else 0.0
    return float(np.clip((-2 * np.log(np.clip(correlation, 1e-9, 0.999))) ** -0.5, 0.1, 10))


class AppearanceBank:
    """The appearances of images an arm may see, to standardise others by and to draw new ones from.

    Args:
        rows: float [N, 7], not standardised.
    """

    def __init__(self, rows: Tensor):
        self.rows = rows.double()
        self.mean, self.std = self.rows.mean(dim=0), self.rows.std(dim=0, correction=0).clamp_min(1e-3)

    def standardised(self, rows: Tensor) -> Tensor:
        """float32 [B, 7] in ±``LIMIT`` standard deviations of the bank."""
        return ((rows.double() - self.mean) / self.std).clamp(-LIMIT, LIMIT).float()

    def draw(self, generator: torch.Generator | None) -> Tensor:
        """float32 [7], standardised: one of the bank, moved a little.

        A smoothed bootstrap that keeps mean and covariance (Silverman 1986, section 6.4.1): the numbers stay joint.
        """
        chosen = int(torch.randint(len(self.rows), (1,), generator=generator))
        centred = (self.rows - self.mean) / self.std
        noise = torch.randn(len(self.rows), generator=generator, dtype=torch.float64)
        # A random mixture of the centred rows is normal with their covariance.
        moved = centred[chosen] + SMOOTHING * (noise @ centred) / len(self.rows) ** 0.5
        return (moved / (1 + SMOOTHING**2) ** 0.5).clamp(-LIMIT, LIMIT).float()
