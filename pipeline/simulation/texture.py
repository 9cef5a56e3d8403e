"""Smooth random fields: the slow variation of tissue that speckle rides on."""

import numpy as np
from scipy import fft

N_TEXELS = 128


def smooth_noise(rng: np.random.Generator, correlation_texels: float) -> np.ndarray:
    """Periodic Gaussian field, float32 (N_TEXELS, N_TEXELS), zero mean, unit variance."""
    frequency = fft.fftfreq(N_TEXELS).astype(np.float32)
    low_pass = np.exp(-2 * (np.pi * correlation_texels * frequency) ** 2)
    spectrum = fft.rfft2(rng.standard_normal((N_TEXELS, N_TEXELS), dtype=np.float32))
    field = fft.irfft2(spectrum * low_pass[:, None] * np.abs(low_pass[None, : N_TEXELS // 2 + 1]))
    field -= field.mean()
    return (field / field.std()).astype(np.float32)


def sample(field: np.ndarray, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Bilinear values of a periodic field at texel positions ``u`` (columns) and ``v`` (rows), any equal shape."""
    u0, v0 = np.floor(u), np.floor(v)
    fu, fv = (u - u0).astype(np.float32), (v - v0).astype(np.float32)
    column, row = u0.astype(np.int32) % N_TEXELS, v0.astype(np.int32) % N_TEXELS
    right, below = (column + 1) % N_TEXELS, (row + 1) % N_TEXELS
    flat = field.ravel()
    upper = flat[row * N_TEXELS + column] * (1 - fu) + flat[row * N_TEXELS + right] * fu
    lower = flat[below * N_TEXELS + column] * (1 - fu) + flat[below * N_TEXELS + right] * fu
    return upper * (1 - fv) + lower * fv


def smooth_curve(rng: np.random.Generator, n: int, correlation: float, periodic: bool = False) -> np.ndarray:
    """Gaussian curve, float32 (n,), zero mean and unit variance in expectation.

    Args:
        correlation: correlation length in units of the whole length.
        periodic: join both ends.
    """
    length = n if periodic else 2 * n
    frequency = fft.rfftfreq(length)
    low_pass = np.exp(-2 * (np.pi * correlation * n * frequency) ** 2)
    curve = fft.irfft(fft.rfft(rng.standard_normal(length)) * low_pass, length)
    power = (2 * np.sum(low_pass[1:] ** 2) + low_pass[0] ** 2) / length
    return (curve[:n] / np.sqrt(power)).astype(np.float32)
