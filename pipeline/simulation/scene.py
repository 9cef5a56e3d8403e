"""What the beam meets, as acoustic maps on the polar grid, and how they are drawn."""

from dataclasses import dataclass

import numpy as np

FLUID_DB = -58.0


@dataclass(frozen=True)
class Scene:
    """Acoustic maps on the polar grid, float32 (n_depth, n_beam).

    backscatter_db: level of the diffuse echo, dB re the echo of a skull wall that faces the beam.
    specular: coherent amplitude, same reference, linear.
    attenuation_db_per_mm: two-way, relative to the soft tissue that time-gain compensation expects.
    """

    backscatter_db: np.ndarray
    specular: np.ndarray
    attenuation_db_per_mm: np.ndarray


@dataclass(frozen=True)
class SkullEcho:
    """How a device and an angle of view show bone.

    facing_power: how fast the echo falls as the wall turns away from the beam.
    floor_db: echo of a wall along the beam, relative to one that faces it.
    level_db: echo of a wall that faces the beam.
    gap_db: depth of the widest drop-outs.
    attenuation_db_per_mm: two-way loss in bone.
    """

    facing_power: float
    floor_db: float
    level_db: float
    gap_db: float
    attenuation_db_per_mm: float


def stroke(
    u: np.ndarray,
    v: np.ndarray,
    centre: tuple[float, float],
    half_length: float,
    half_width: float,
    tilt: float = 0.0,
    bend: float = 0.0,
) -> np.ndarray:
    """Weight 0..1 of a short, thin, slightly bent line along ``u``."""
    du = u - np.float32(centre[0])
    dv = v - np.float32(centre[1]) - du * np.float32(tilt) - du * du * np.float32(bend)
    return np.exp(-(np.abs(du / np.float32(half_length)) ** 3) - (dv / np.float32(half_width)) ** 2)


def blob(
    u: np.ndarray, v: np.ndarray, centre: tuple[float, float], radii: tuple[float, float], tilt: float = 0.0
) -> np.ndarray:
    """Weight 0..1 of a soft-edged ellipse."""
    du = u - np.float32(centre[0])
    dv = v - np.float32(centre[1]) - du * np.float32(tilt)
    inside = 1 - (du / np.float32(radii[0])) ** 2 - (dv / np.float32(radii[1])) ** 2
    return 1 / (1 + np.exp(np.clip(-5 * inside, -30, 30)))


def blend(level_db: np.ndarray, target_db: float | np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Move a level towards another where ``weight`` (0..1) says so; all dB."""
    return level_db + (target_db - level_db) * weight
