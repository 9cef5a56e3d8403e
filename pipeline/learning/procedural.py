"""Procedural shapes and textures to pre-train the compact SAM on: generic, and nothing like a head.

Blobs, polygons and what is left of them after a bite, in front of each other, filled, outlined or both, with textures
of any roughness. No ellipses, no sector, no speckle of an ultrasound beam: a simulator of heads would be unlimited free
labels, and a label budget would mean nothing.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

Uniform = Callable[..., Tensor]


def procedural_batch(count: int, size: int, objects: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Images float [B, 1, S, S] in [-1, 1] and maps integer [B, S, S]: 0 background, 1 to ``objects``, later in front.

    Args:
        objects: the most of an image; every number from 1 is as likely.
        generator: a CPU generator.
    """

    def uniform(*shape: int) -> Tensor:
        return torch.rand(shape or (count, 1, 1), generator=generator)

    grey = uniform() + 0.1 * uniform() * texture(count, size, generator)
    labels = torch.zeros(count, size, size, dtype=torch.long)
    number = torch.randint(1, objects + 1, (count, 1, 1), generator=generator)
    for k in range(1, objects + 1):
        level = star_shape(count, size, uniform)
        bite = star_shape(count, size, uniform)
        level = torch.where(uniform() < 0.25, torch.minimum(level, -bite), level)
        drawn = draw(grey, level, uniform, generator)
        there = number >= k
        grey = torch.where(there, drawn, grey)
        labels = torch.where(there & (level > 0), k, labels)
    grain = 0.3 * uniform() * (uniform() < 0.5)
    grey = grey * (1 + grain * torch.randn(grey.shape, generator=generator))
    grey = grey + 0.08 * uniform() ** 2 * torch.randn(grey.shape, generator=generator)
    grey = grey.clamp(0, 1) ** torch.exp(1.5 * (uniform() - 0.5))
    return grey[:, None] * 2 - 1, labels


def draw(grey: Tensor, level: Tensor, uniform: Uniform, generator: torch.Generator) -> Tensor:
    """One object on every image, by its signed level in pixels: filled, outlined (often in broken strokes), or both."""
    count, size = grey.shape[:2]
    inside = (level > 0).float()
    behind = (grey * inside).sum((1, 2), keepdim=True) / inside.sum((1, 2), keepdim=True).clamp(min=1)
    style = uniform()
    contrast = torch.where(uniform() < behind, -1.0, 1.0) * (0.12 + 0.4 * uniform())
    fill = behind + contrast + 0.1 * uniform() * texture(count, size, generator)
    softness = 0.5 + 2 * uniform() ** 2
    cover = (level / softness).sigmoid() * (style < 0.7) * (0.3 + 0.7 * uniform())
    grey = grey + (fill - grey) * cover
    width = 0.5 + size / 40 * uniform()
    broken = ((texture(count, size, generator) + 3 * uniform() - 0.5) * 3).sigmoid()
    stroke = torch.exp(-((level / width) ** 2)) * (style > 0.4) * broken
    ink = behind + torch.where(uniform() < 0.3, -1.0, 1.0) * (0.2 + 0.5 * uniform())
    return grey + (ink - grey) * stroke


def star_shape(count: int, size: int, uniform: Uniform) -> Tensor:
    """Distance to the outline along rays from a centre, in pixels, positive inside: float [B, S, S].

    Half are blobs of five random harmonics, half polygons of three to six sides, stretched and turned.
    """
    axis = (torch.arange(size) + 0.5) / size
    y, x = axis[None, :, None] - (0.15 + 0.7 * uniform()), axis[None, None, :] - (0.15 + 0.7 * uniform())
    angle, stretch = 2 * math.pi * uniform(), torch.exp(1.2 * (uniform() - 0.5))
    u = (x * angle.cos() + y * angle.sin()) * stretch
    v = (-x * angle.sin() + y * angle.cos()) / stretch
    radius, theta = (u**2 + v**2).sqrt(), torch.atan2(v, u)
    blob = torch.ones(count, size, size)
    for harmonic in range(2, 7):
        phase = 2 * math.pi * uniform()
        blob = blob + 0.9 / harmonic * uniform() * torch.cos(harmonic * theta + phase)
    sector = 2 * math.pi / (3 + (4 * uniform()).floor())
    polygon = 0.8 / torch.cos(torch.remainder(theta + 2 * math.pi * uniform(), sector) - sector / 2)
    outline = (0.12 + 0.3 * uniform()) * torch.where(uniform() < 0.5, blob, polygon)
    return (outline - radius) * size


def texture(count: int, size: int, generator: torch.Generator) -> Tensor:
    """Noise of a random roughness, mean 0 and standard deviation 1: spectrum 1 / f^b, b in [0, 2], float [B, S, S]."""
    rows, columns = torch.fft.fftfreq(size)[:, None], torch.fft.rfftfreq(size)[None]
    frequency = (rows**2 + columns**2).sqrt().clamp(min=1 / size)
    roughness = 2 * torch.rand(count, 1, 1, generator=generator)
    white = torch.randn(count, size, size, generator=generator)
    noise = torch.fft.irfft2(torch.fft.rfft2(white) * frequency**-roughness, s=(size, size))
    return (noise - noise.mean((1, 2), keepdim=True)) / noise.std((1, 2), keepdim=True)
