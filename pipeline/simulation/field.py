"""What the pictures of a cohort show of the body: the sector, where it lies in the frame, how the probe is held."""

from dataclasses import dataclass

import numpy as np

from pipeline.simulation.scan import Frame, Sector


@dataclass(frozen=True)
class Field:
    """Ranges are (low, high), drawn per image.

    radius_mm: curvature of the probe's face.
    half_angle_deg: of the sector.
    depth_mm: of the sector.
    top, bottom: where its beginning and end lie on the probe's axis, in units of the frame's height.
    middle: where the axis lies, in units of the frame's width.
    rock_deg, slide_mm, press_mm: standard deviations of how the probe turns, slides and is pressed between images.
    at_most_sd: where these motions are cut, in standard deviations.
    """

    radius_mm: tuple[float, float]
    half_angle_deg: tuple[float, float]
    depth_mm: tuple[float, float]
    top: tuple[float, float]
    bottom: tuple[float, float]
    middle: tuple[float, float]
    rock_deg: float
    slide_mm: float
    press_mm: float
    at_most_sd: float

    def motion(self, rng: np.random.Generator) -> tuple[tuple[float, float], float]:
        """How the probe has moved: (slide, press) in mm, and the turn in radians."""

        def deviation() -> float:
            return float(np.clip(rng.standard_normal(), -self.at_most_sd, self.at_most_sd))

        turn = float(np.radians(self.rock_deg)) * deviation()
        return (self.slide_mm * deviation(), self.press_mm * deviation()), turn

    def framed(self, size: tuple[int, int], rng: np.random.Generator) -> tuple[Frame, Sector]:
        """A sector, in a frame of ``size`` (width, height) pixels that shows it."""
        width, height = size
        sector = Sector(
            radius_mm=float(rng.uniform(*self.radius_mm)),
            half_angle_rad=float(np.radians(rng.uniform(*self.half_angle_deg))),
            depth_mm=float(rng.uniform(*self.depth_mm)),
        )
        top, bottom, middle = (rng.uniform(*bounds) for bounds in (self.top, self.bottom, self.middle))
        pixel = sector.depth_mm / ((bottom - top) * height)
        return Frame(width, height, float(pixel), float(-middle * width * pixel), float(-top * height * pixel)), sector
