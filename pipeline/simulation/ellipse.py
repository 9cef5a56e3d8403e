"""Ellipses in the image plane (x lateral, z depth, mm): membership, support, distance, tangents, all exact."""

from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import minimize_scalar

from pipeline.simulation.outline import N_ANGLES, Pose

DIRECTIONS = 360


@dataclass(frozen=True)
class Ellipse:
    """centre_mm: (x, z). long_mm, short_mm: semi-axes.

    rotation_rad: angle of the long axis to x, positive towards the depth.
    """

    centre_mm: tuple[float, float]
    long_mm: float
    short_mm: float
    rotation_rad: float

    @property
    def pose(self) -> Pose:
        return Pose(*self.centre_mm, self.rotation_rad)

    def contains(self, x_mm: np.ndarray, z_mm: np.ndarray) -> np.ndarray:
        """Whether points lie inside or on it, bool, shape of the broadcast arguments."""
        along, across = self.pose.own_coordinates(x_mm, z_mm)
        return (along / self.long_mm) ** 2 + (across / self.short_mm) ** 2 <= 1

    def support(self, direction_rad: np.ndarray | float) -> np.ndarray | float:
        """Largest distance from the centre along directions (angle from x towards z), mm."""
        turned = np.asarray(direction_rad) - self.rotation_rad
        return np.hypot(self.long_mm * np.cos(turned), self.short_mm * np.sin(turned))

    def boundary(self, count: int) -> tuple[np.ndarray, np.ndarray]:
        """x and z of points on it, (count,) each."""
        t = np.arange(count) * (2 * np.pi / count)
        along, across = self.long_mm * np.cos(t), self.short_mm * np.sin(t)
        cosine, sine = np.cos(self.rotation_rad), np.sin(self.rotation_rad)
        return self.centre_mm[0] + along * cosine - across * sine, self.centre_mm[1] + along * sine + across * cosine

    def radius_mm(self) -> np.ndarray:
        """Distance from the centre at the polar angles ``2 pi k / N_ANGLES`` from the long axis."""
        angle = np.arange(N_ANGLES) * (2 * np.pi / N_ANGLES)
        return 1 / np.hypot(np.cos(angle) / self.long_mm, np.sin(angle) / self.short_mm)

    def moved(self, by_mm: tuple[float, float], turn_rad: float = 0.0, about_mm: tuple[float, float] = (0, 0)):
        """The ellipse after a turn about a point and a shift."""
        dx, dz = self.centre_mm[0] - about_mm[0], self.centre_mm[1] - about_mm[1]
        cosine, sine = np.cos(turn_rad), np.sin(turn_rad)
        centre = (
            float(about_mm[0] + dx * cosine - dz * sine + by_mm[0]),
            float(about_mm[1] + dx * sine + dz * cosine + by_mm[1]),
        )
        return replace(self, centre_mm=centre, rotation_rad=self.rotation_rad + turn_rad)


def gap_mm(first: Ellipse, second: Ellipse, refine: bool = True) -> float:
    """Shortest distance between two ellipses, negative where they overlap (by how much they would have to part).

    Two convex sets are as far apart as the widest strip between parallel lines that separates them: the maximum over
    directions of the distance between their supporting lines.

    Args:
        refine: find the maximum between the sampled directions as well; without it the error is below 0.01 mm.
    """
    dx, dz = (b - a for a, b in zip(first.centre_mm, second.centre_mm, strict=True))

    def strip(direction: np.ndarray | float) -> np.ndarray | float:
        turned = direction + np.pi
        return dx * np.cos(direction) + dz * np.sin(direction) - first.support(direction) - second.support(turned)

    step = 2 * np.pi / DIRECTIONS
    widths = strip(np.arange(DIRECTIONS) * step)
    best = int(np.argmax(widths))
    if not refine:
        return float(widths[best])
    bounds = ((best - 1) * step, (best + 1) * step)
    found = minimize_scalar(lambda one: -strip(one), bounds=bounds, method="bounded", options={"xatol": 1e-9})
    return float(-found.fun)
