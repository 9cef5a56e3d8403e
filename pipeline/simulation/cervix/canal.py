"""The cervical canal as a circular arc, and positions along and across it: exact both ways."""

from dataclasses import dataclass, replace

import numpy as np


@dataclass(frozen=True)
class Canal:
    """The middle line between the lips, in the image plane (x lateral, z depth, mm).

    middle_mm: (x, z) of its middle. rotation_rad: direction there, from the internal to the external os, to x, positive
    towards the depth. bend_per_mm: curvature, positive where both ends are turned to the depth; not 0. length_mm: along
    the arc, from os to os.
    """

    middle_mm: tuple[float, float]
    rotation_rad: float
    bend_per_mm: float
    length_mm: float

    def own_coordinates(self, x_mm: np.ndarray, z_mm: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Positions along the arc from its middle, and across it, positive on the posterior (deeper) side, in mm."""
        dx, dz = x_mm - self.middle_mm[0], z_mm - self.middle_mm[1]
        cosine, sine = np.cos(self.rotation_rad), np.sin(self.rotation_rad)
        u, v = dx * cosine + dz * sine, dz * cosine - dx * sine
        radius, side = abs(1 / self.bend_per_mm), np.sign(self.bend_per_mm)
        to_centre = radius - side * v
        return radius * np.arctan2(u, to_centre), side * (radius - np.hypot(u, to_centre))

    def point(self, along_mm: np.ndarray | float, across_mm: np.ndarray | float) -> tuple[np.ndarray, np.ndarray]:
        """x and z of positions along and across: the inverse of :meth:`own_coordinates`."""
        radius = 1 / self.bend_per_mm
        turned = np.asarray(along_mm) / radius
        u, v = (radius - across_mm) * np.sin(turned), radius - (radius - across_mm) * np.cos(turned)
        cosine, sine = np.cos(self.rotation_rad), np.sin(self.rotation_rad)
        return self.middle_mm[0] + u * cosine - v * sine, self.middle_mm[1] + u * sine + v * cosine

    def moved(self, by_mm: tuple[float, float], turn_rad: float, about_mm: tuple[float, float]) -> "Canal":
        """The arc after a turn about a point and a shift."""
        dx, dz = (own - about for own, about in zip(self.middle_mm, about_mm, strict=True))
        cosine, sine = np.cos(turn_rad), np.sin(turn_rad)
        middle = (
            float(about_mm[0] + dx * cosine - dz * sine + by_mm[0]),
            float(about_mm[1] + dx * sine + dz * cosine + by_mm[1]),
        )
        return replace(self, middle_mm=middle, rotation_rad=self.rotation_rad + turn_rad)
