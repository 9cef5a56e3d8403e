"""Outer contour of the phantom skull: an analytic, star-shaped curve with an exact circumference."""

from dataclasses import dataclass

import numpy as np

from pipeline.simulation.outline import N_ANGLES, Pose


@dataclass(frozen=True)
class HeadContour:
    """Outer edge of the skull in head coordinates: x along the midline (towards the forehead), y across it.

    radius_mm: float64, (N_ANGLES,), distance from the centre at the polar angles ``2 pi k / N_ANGLES``.
    half_length_mm, half_width_mm: largest extent along and across the midline.
    circumference_mm: length of the full curve.
    """

    radius_mm: np.ndarray
    half_length_mm: float
    half_width_mm: float
    circumference_mm: float

    def radius_at(self, angle_rad: np.ndarray) -> np.ndarray:
        """Radius in millimetres at polar angles (any shape, any range), linear between table entries."""
        grid = np.arange(N_ANGLES) * (2 * np.pi / N_ANGLES)
        return np.interp(angle_rad, grid, self.radius_mm, period=2 * np.pi)

    def area_mm2(self) -> float:
        """Area inside the contour, by the polar area integral."""
        return float(np.pi * np.mean(self.radius_mm**2))


def head_contour(
    circumference_mm: float,
    cephalic_index: float,
    squareness: float = 2.0,
    harmonics: tuple[tuple[int, float, float], ...] = (),
) -> HeadContour:
    """Superellipse with low-order Fourier deviation, scaled to a circumference.

    Args:
        circumference_mm: length of the outer contour.
        cephalic_index: width over length before deviation; about 0.70 dolichocephalic, 0.78 usual, 0.88 brachycephalic.
        squareness: exponent of the superellipse; 2 is the ellipse.
        harmonics: ``(order, relative amplitude, phase_rad)`` terms multiplying the radius; order 1 and 3 make eggs.
    """
    angle = np.arange(N_ANGLES) * (2 * np.pi / N_ANGLES)
    along, across = np.abs(np.cos(angle)), np.abs(np.sin(angle)) / cephalic_index
    radius = (along**squareness + across**squareness) ** (-1 / squareness)
    for order, amplitude, phase in harmonics:
        radius = radius * (1 + amplitude * np.cos(order * angle - phase))
    x, y = radius * np.cos(angle), radius * np.sin(angle)
    perimeter = np.hypot(np.diff(x, append=x[0]), np.diff(y, append=y[0])).sum()
    scale = circumference_mm / perimeter
    return HeadContour(
        radius_mm=radius * scale,
        half_length_mm=float(np.abs(x).max() * scale),
        half_width_mm=float(np.abs(y).max() * scale),
        circumference_mm=circumference_mm,
    )


def rasterise(contour: HeadContour, pose: Pose, x_mm: np.ndarray, z_mm: np.ndarray) -> np.ndarray:
    """Filled mask, uint8 (HxW) with 1 where the pixel centre lies inside; cut by the frame only, as HC18 annotates."""
    along, across = pose.own_coordinates(x_mm[None, :], z_mm[:, None])
    distance = np.hypot(along, across)
    mask = distance <= contour.radius_mm.min()
    unsure = ~mask & (distance <= contour.radius_mm.max())
    mask[unsure] = distance[unsure] <= contour.radius_at(np.arctan2(across[unsure], along[unsure]))
    return mask.astype(np.uint8)
