"""Geometry of a convex probe: which part of the sector the frame shows, its polar grid, scan conversion."""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

MARGIN_SAMPLES = 12


@dataclass(frozen=True)
class Frame:
    """Rectangle of square pixels in the image plane. x: lateral, z: depth below the centre of the probe face (mm)."""

    width: int
    height: int
    pixel_mm: float
    left_mm: float
    top_mm: float

    def pixel_centres_mm(self) -> tuple[np.ndarray, np.ndarray]:
        """Lateral positions (width,) and depths (height,) of pixel centres."""
        x = self.left_mm + (np.arange(self.width) + 0.5) * self.pixel_mm
        z = self.top_mm + (np.arange(self.height) + 0.5) * self.pixel_mm
        return x, z


@dataclass(frozen=True)
class Sector:
    """Field of view of a convex probe.

    radius_mm: curvature of the probe face; the beams meet that far above it.
    half_angle_rad: angle of the outermost beam to the axis.
    depth_mm: length of a beam below the probe face.
    """

    radius_mm: float
    half_angle_rad: float
    depth_mm: float


@dataclass(frozen=True)
class PolarGrid:
    """Samples along beams: ``angle_rad`` (n_beam,) across, ``depth_mm`` (n_depth,) below the probe face."""

    angle_rad: np.ndarray
    depth_mm: np.ndarray
    radius_mm: float

    @property
    def shape(self) -> tuple[int, int]:
        return len(self.depth_mm), len(self.angle_rad)

    @property
    def step_mm(self) -> float:
        return float(self.depth_mm[1] - self.depth_mm[0])

    @property
    def step_rad(self) -> float:
        return float(self.angle_rad[1] - self.angle_rad[0])

    def positions_mm(self) -> tuple[np.ndarray, np.ndarray]:
        """Lateral position and depth of every sample, float32 (n_depth, n_beam)."""
        reach = (self.radius_mm + self.depth_mm)[:, None]
        x = reach * np.sin(self.angle_rad)[None, :]
        z = reach * np.cos(self.angle_rad)[None, :] - self.radius_mm
        return x.astype(np.float32), z.astype(np.float32)


def polar_positions(frame: Frame, sector: Sector) -> tuple[np.ndarray, np.ndarray]:
    """Beam angle (radians) and depth along the beam (mm) of every pixel, float32 (height, width)."""
    x, z = frame.pixel_centres_mm()
    x = x.astype(np.float32)[None, :]
    z = (z + sector.radius_mm).astype(np.float32)[:, None]
    return np.arctan2(x, z), np.sqrt(x * x + z * z) - np.float32(sector.radius_mm)


def visible_grid(
    angle_rad: np.ndarray, depth_mm: np.ndarray, inside: np.ndarray, sector: Sector, n_beam: int, n_depth: int
) -> PolarGrid:
    """Polar grid over what the frame shows of the sector, with a margin for the point-spread function."""
    angle, depth = angle_rad[inside], depth_mm[inside]
    step_angle = (angle.max() - angle.min()) / (n_beam - 2 * MARGIN_SAMPLES)
    step_depth = (depth.max() - depth.min()) / (n_depth - 2 * MARGIN_SAMPLES)
    return PolarGrid(
        angle_rad=angle.min() + (np.arange(n_beam) - MARGIN_SAMPLES) * step_angle,
        depth_mm=depth.min() + (np.arange(n_depth) - MARGIN_SAMPLES) * step_depth,
        radius_mm=sector.radius_mm,
    )


def inside_sector(angle_rad: np.ndarray, depth_mm: np.ndarray, sector: Sector) -> np.ndarray:
    """True where a pixel is scanned, bool (height, width)."""
    return (np.abs(angle_rad) <= sector.half_angle_rad) & (depth_mm >= 0) & (depth_mm <= sector.depth_mm)


def scan_convert(
    polar: np.ndarray, grid: PolarGrid, angle_rad: np.ndarray, depth_mm: np.ndarray, inside: np.ndarray
) -> np.ndarray:
    """Bilinear values of a polar image at the scanned pixels, float32 (count of ``inside``,)."""
    row = (depth_mm[inside] - np.float32(grid.depth_mm[0])) / np.float32(grid.step_mm)
    column = (angle_rad[inside] - np.float32(grid.angle_rad[0])) / np.float32(grid.step_rad)
    return ndimage.map_coordinates(polar, np.stack([row, column]), order=1, mode="nearest", output=np.float32)
