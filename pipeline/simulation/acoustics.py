"""Pulse-echo acoustics on a polar grid (depth x beam): scatterers, point-spread function, attenuation, noise."""

from dataclasses import dataclass

import numpy as np
from scipy import fft


@dataclass(frozen=True)
class PointSpread:
    """Separable point-spread function of the baseband signal, in samples of the polar grid.

    axial: standard deviation of the Gaussian pulse along depth.
    lateral: standard deviation of the beam across beams, one value, or one per depth, (n_depth,).
    ringdown: amplitude of the one-sided exponential tail of the pulse, relative to its peak.
    ringdown_length: decay length of that tail.
    sidelobe: share of the amplitude in a five times wider lateral skirt.
    """

    axial: float
    lateral: float | np.ndarray
    ringdown: float = 0.0
    ringdown_length: float = 1.0
    sidelobe: float = 0.0


def transfer_functions(psf: PointSpread, shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Axial (n_depth, 1) and lateral (n_depth, n_beam) transfer functions, 1 at zero frequency."""
    n_depth, n_beam = shape
    position = np.minimum(np.arange(n_depth), n_depth - np.arange(n_depth)).astype(np.float32)
    pulse = np.exp(-0.5 * (position / psf.axial) ** 2)
    if psf.ringdown > 0:
        tail = np.exp(-np.arange(n_depth) / psf.ringdown_length)
        tail[n_depth // 2 :] = 0
        pulse = pulse + psf.ringdown * tail
    axial = fft.fft(pulse / pulse.sum())[:, None].astype(np.complex64)
    angular = (2 * np.pi * fft.fftfreq(n_beam)).astype(np.float32)[None, :]
    width = np.broadcast_to(np.asarray(psf.lateral, np.float32), (n_depth,))[:, None]
    lateral = np.exp(-0.5 * (angular * width) ** 2)
    if psf.sidelobe > 0:
        lateral = (1 - psf.sidelobe) * lateral + psf.sidelobe * np.exp(-0.5 * (5 * angular * width) ** 2)
    return axial, lateral.astype(np.float32)


def echo_signal(
    backscatter: np.ndarray, specular: np.ndarray, psf: PointSpread, rng: np.random.Generator
) -> np.ndarray:
    """Baseband signal of diffuse scatterers plus coherent reflectors, complex64 (n_depth, n_beam).

    The scatterers are circular complex Gaussian, so that homogeneous tissue gives fully developed speckle
    (Burckhardt 1978, IEEE Trans. Sonics Ultrason. 25:1; Wagner et al. 1983, same journal 30:156).
    The grid is taken as periodic: leave a margin of a few point-spread widths around what is shown.

    Args:
        backscatter: root-mean-square amplitude of the diffuse echo, (n_depth, n_beam), any non-negative value.
        specular: amplitude of the coherent echo before blurring, same shape.
    """
    shape = backscatter.shape
    axial, lateral = transfer_functions(psf, shape)
    # Blurring n independent scatterers keeps sum(|h|^2) of their power: divide it out, per depth.
    energy = np.mean(np.abs(axial) ** 2) * np.mean(lateral**2, axis=1, keepdims=True)
    scatterers = rng.standard_normal((*shape, 2), dtype=np.float32).view(np.complex64)[..., 0]
    field = scatterers * (backscatter * np.sqrt(0.5 / energy)).astype(np.float32) + specular.astype(np.float32)
    field = fft.ifft(fft.fft(field, axis=1, overwrite_x=True) * lateral, axis=1, overwrite_x=True)
    return fft.ifft(fft.fft(field, axis=0, overwrite_x=True) * axial, axis=0, overwrite_x=True)


def speckle_envelope(shape: tuple[int, int], psf: PointSpread, rng: np.random.Generator) -> np.ndarray:
    """Uncompressed envelope of homogeneous tissue, float32 ``shape``, root mean square 1; mean / std is 1.91."""
    one = np.ones(shape, np.float32)
    return np.abs(echo_signal(one, np.zeros(shape, np.float32), psf, rng))


def shadow_db(attenuation_db_per_mm: np.ndarray, step_mm: float, floor_db: float) -> np.ndarray:
    """Two-way loss down to each sample, relative to what time-gain compensation expects; dB, at most ``floor_db``.

    Positive values shadow (bone), negative values enhance (fluid).

    Args:
        attenuation_db_per_mm: two-way attenuation minus that of the compensated tissue, (n_depth, n_beam).
    """
    before = np.cumsum(attenuation_db_per_mm, axis=0, dtype=np.float32) - 0.5 * attenuation_db_per_mm
    return np.minimum(before * np.float32(step_mm), np.float32(floor_db))


def compounded_db(
    backscatter: np.ndarray,
    specular: np.ndarray,
    psf: PointSpread,
    noise_db: np.ndarray,
    looks: int,
    rng: np.random.Generator,
) -> np.ndarray:
    """Log envelope of a spatially compounded image, dB re 1, float32 (n_depth, n_beam).

    Averaging the power of n independent looks raises the speckle's signal-to-noise ratio by about sqrt(n)
    (Trahey et al. 1986, IEEE Trans. UFFC 33:257); modern scanners do, simple ones take a single look.

    Args:
        noise_db: receiver noise after time-gain compensation, (n_depth,): it rises with depth.
    """
    noise_amplitude = (np.sqrt(0.5) * 10 ** (noise_db[:, None] / 20)).astype(np.float32)
    power = np.zeros(backscatter.shape, np.float32)
    for _ in range(looks):
        signal = echo_signal(backscatter, specular, psf, rng)
        noise = rng.standard_normal((*signal.shape, 2), dtype=np.float32).view(np.complex64)[..., 0]
        signal += noise * noise_amplitude
        power += signal.real**2 + signal.imag**2
    return 10 * np.log10(power / np.float32(looks) + np.float32(1e-12))
