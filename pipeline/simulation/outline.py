"""A closed, star-shaped outline in the image plane: its place, and where the samples of a grid lie to it."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from pipeline.simulation.scan import PolarGrid

N_ANGLES = 4096


@dataclass(frozen=True)
class Pose:
    """Where a structure lies in the image plane. x: lateral, z: depth below the probe face, both in millimetres.

    rotation_rad: angle of its long axis to the lateral axis, positive towards the depth.
    """

    centre_x_mm: float
    centre_z_mm: float
    rotation_rad: float

    def own_coordinates(self, x_mm: np.ndarray, z_mm: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Image-plane positions along and across the long axis, from the centre, in millimetres."""
        dx, dz = x_mm - self.centre_x_mm, z_mm - self.centre_z_mm
        cosine, sine = np.cos(self.rotation_rad), np.sin(self.rotation_rad)
        return dx * cosine + dz * sine, dz * cosine - dx * sine


class Around(NamedTuple):
    """Samples of a polar grid against an outline, each (n_depth, n_beam).

    along, across: position in its own coordinates, mm.
    outside_mm: distance to it, to first order; negative inside.
    entry: index of the polar angle in tables of ``N_ANGLES``.
    facing: |cosine| between beam and normal.
    """

    along: np.ndarray
    across: np.ndarray
    outside_mm: np.ndarray
    entry: np.ndarray
    facing: np.ndarray


def around(grid: PolarGrid, radius_mm: np.ndarray, pose: Pose) -> Around:
    """Where the samples of a grid lie to the outline with ``radius_mm`` at the polar angles ``2 pi k / N_ANGLES``."""
    along, across = (part.astype(np.float32) for part in pose.own_coordinates(*grid.positions_mm()))
    distance, bearing = np.hypot(along, across), np.arctan2(across, along)
    entry = (bearing * np.float32(N_ANGLES / (2 * np.pi))).astype(np.int32) % N_ANGLES
    radius, slant, normal = _tables(radius_mm)
    outside_mm = (distance - radius[entry]) * slant[entry]
    beam = grid.angle_rad.astype(np.float32)[None, :]
    # Both angles from the lateral axis: a beam at theta points along pi/2 - theta.
    facing = np.abs(np.cos(normal[entry] + np.float32(pose.rotation_rad) - (np.float32(np.pi / 2) - beam)))
    return Around(along, across, outside_mm, entry, facing)


def _tables(radius_mm: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Per polar angle: radius (mm), cosine between radius and normal, direction of the normal (own coordinates)."""
    slope = (np.roll(radius_mm, -1) - np.roll(radius_mm, 1)) / (2 * 2 * np.pi / N_ANGLES)
    lean = np.arctan2(slope, radius_mm)
    angle = np.arange(N_ANGLES) * (2 * np.pi / N_ANGLES)
    return radius_mm.astype(np.float32), np.cos(lean).astype(np.float32), (angle - lean).astype(np.float32)
