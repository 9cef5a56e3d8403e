"""Echoes inside the skull: parenchyma, falx, cavum, thalami, ventricles with choroid plexus, sulci."""

import numpy as np

from pipeline.simulation.scene import FLUID_DB, blend, blob, stroke
from pipeline.simulation.texture import sample, smooth_noise

PARENCHYMA_DB = -38.0


def brain_echo(
    u: np.ndarray,
    v: np.ndarray,
    rim_mm: np.ndarray,
    half_width_mm: float,
    facing: np.ndarray,
    far_side: float,
    weeks: float,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """Diffuse level (dB) and coherent amplitude of the brain, float32, shape of ``u``.

    Args:
        u, v: position along and across the midline, in units of the half length and half width of the head.
        rim_mm: distance to the inner table of the skull.
        facing: |cosine| between the beam and the normal of the midline, same shape; lines across the beam shine.
        far_side: +1 or -1, the sign of ``v`` in the hemisphere away from the probe.
        weeks: gestational age; first-trimester brains are mostly choroid plexus, sulci come in the third.
        rng: of the patient: the same anatomy in each image.
    """
    early = float(np.clip((15.5 - weeks) / 2, 0, 1))
    late = float(np.clip((weeks - 17) / 14, 0, 1))
    line = 0.0075 + 0.08 / half_width_mm
    central = np.exp(-((u / np.float32(0.62)) ** 4) - (v / np.float32(0.5)) ** 4)

    slow = sample(smooth_noise(rng, 3.5), 30 * u + 7, 24 * v + 11)
    fine = sample(smooth_noise(rng, 2.0), 42 * u + 31, 38 * v + 3)
    level = PARENCHYMA_DB + rng.normal(0, 2) + 3.0 * slow + 2.0 * fine + (3 + 4 * late) * central
    level = blend(level, level - 9, np.exp(-((rim_mm / np.float32(rng.uniform(2.5, 5.5))) ** 2)))

    # Mid-gestation anatomy; it fades out in the first trimester.
    mid = 1 - early
    for side in (-1, 1):
        level = level - mid * 4 * blob(u, v, (rng.normal(-0.03, 0.03), side * 0.17), (0.2, 0.12), 0.1 * side)
    cavum = rng.normal(0.45, 0.04)
    level = blend(level, FLUID_DB, mid * blob(u, v, (cavum, 0), (0.11, 0.065)))
    for side in (far_side, -far_side):
        seen = mid * (1.0 if side == far_side else rng.uniform(0.0, 0.5))
        atrium = (rng.normal(-0.48, 0.05), side * rng.normal(0.38, 0.03))
        horn = rng.uniform(0.1, 0.16)
        level = blend(level, FLUID_DB, 0.8 * seen * blob(u, v, atrium, (0.27, horn), -0.25 * side))
        plexus = (atrium[0] + rng.normal(0.04, 0.04), atrium[1] + side * 0.03)
        level = blend(level, -18 + 2 * fine, seen * blob(u, v, plexus, (rng.uniform(0.1, 0.19), 0.1), -0.25 * side))
    for side in (-1, 1):  # First trimester: choroid plexus fills both hemispheres, fluid around it.
        level = blend(level, FLUID_DB + 6 + 4 * fine, early * 0.8 * blob(u, v, (-0.05, side * 0.42), (0.75, 0.34)))
        plexus_size = (rng.uniform(0.42, 0.6), rng.uniform(0.22, 0.3))
        level = blend(level, -21 + 4 * fine, early * blob(u, v, (-0.1, side * 0.4), plexus_size, -0.15 * side))

    shine = facing**3
    specular = _midline(u, v, line, cavum, mid, rng) * shine
    for side in (far_side, -far_side):
        gain = mid * (1.0 if side == far_side else 0.3)
        specular += gain * shine * _ventricle_walls(u, v, side, line, rng)
    specular *= np.clip(1 + 0.45 * fine, 0.1, 2)  # Lines are broken, not drawn with a pen.
    for _ in range(18):
        place = (rng.uniform(-0.8, 0.8), rng.normal(0.05 * far_side, 0.28))
        amplitude = 10 ** (rng.uniform(-30, -11) / 20)
        dash = stroke(u, v, place, rng.uniform(0.015, 0.07), line, rng.normal(0, 0.2), rng.normal(0, 2))
        specular += amplitude * shine * dash
    # Sulci and gyri: zero crossings of a smooth field are winding lines; those across the beam show.
    field = smooth_noise(rng, 2.6)
    winding = sample(field, 26 * u + 64, 36 * v + 64)
    step_u = sample(field, 26 * u + 64.5, 36 * v + 64) - winding
    step_v = sample(field, 26 * u + 64, 36 * v + 64.5) - winding
    flat = step_v**2 / (step_u**2 + step_v**2 + np.float32(1e-6))
    sulci = np.exp(-((winding / np.float32(0.15)) ** 2)) * flat**2
    sulci *= (0.25 + 0.75 * central) * (0.4 + 0.7 * np.maximum(slow, 0)) * np.clip(1 + 0.5 * fine, 0, 2)
    specular += 10 ** ((rng.uniform(-22, -11) + 5 * late) / 20) * sulci * np.maximum(rim_mm > 3, 0) * shine
    return level.astype(np.float32), specular.astype(np.float32)


def _midline(
    u: np.ndarray, v: np.ndarray, line: float, cavum: float, mid: float, rng: np.random.Generator
) -> np.ndarray:
    """Falx in front of and behind the thalami, broken as in transventricular planes, and the walls of the cavum."""
    bow = rng.normal(0, 0.02)
    echo = np.zeros_like(u)
    for low, high in ((-0.96, -0.55), (-0.5, -0.25), (-0.15, 0.2), (0.58, 0.95)):
        amplitude = 10 ** (rng.uniform(-22, -7) / 20)
        centre, half = (low + high) / 2 + rng.normal(0, 0.03), (high - low) / 2 * rng.uniform(0.55, 1.0)
        echo += amplitude * stroke(u, v, (centre, rng.normal(0, 0.01)), half, 1.4 * line, rng.normal(0, 0.02), bow)
    for side in (-1, 1):
        amplitude = mid * 10 ** (rng.uniform(-17, -6) / 20)
        echo += amplitude * stroke(u, v, (cavum, side * 0.075), rng.uniform(0.07, 0.12), 1.5 * line)
    return echo


def _ventricle_walls(u: np.ndarray, v: np.ndarray, side: float, line: float, rng: np.random.Generator) -> np.ndarray:
    """Medial and lateral wall of one lateral ventricle, its frontal horn, and the insula."""
    echo = np.zeros_like(u)
    for u0, v0, half, bend in (
        (-0.45, 0.25, 0.14, 0.3),
        (-0.5, 0.5, 0.13, -0.4),
        (0.48, 0.24, 0.12, 0.5),
        (0.05, 0.6, 0.2, -0.5),
    ):
        place = (u0 + rng.normal(0, 0.05), side * (v0 + rng.normal(0, 0.03)))
        amplitude = 10 ** (rng.uniform(-20, -6) / 20)
        length = half * rng.uniform(0.4, 1.0)
        echo += amplitude * stroke(u, v, place, length, 1.5 * line, -0.2 * side + rng.normal(0, 0.08), side * bend)
    return echo
