"""A simulated patient (what stays the same in all her images) and a view of her (what does not)."""

from dataclasses import dataclass

import numpy as np

from pipeline.simulation.head.contour import HeadContour, head_contour
from pipeline.simulation.head.growth import draw_growth
from pipeline.simulation.outline import Pose
from pipeline.simulation.scan import Frame, Sector


@dataclass(frozen=True)
class Population:
    """Who is scanned and how the sonographer frames her. Ranges are (low, high) unless said otherwise.

    trimester_weights: chance of 11-14, 17-24 and 24-40 weeks.
    cephalic_index: mean and standard deviation.
    deviation: scale of the departure from an ellipse, relative to the radius.
    tilt_rad: standard deviation of the midline's angle to the horizontal.
    any_angle: share of heads at any orientation.
    zoom: head length over frame width, for a head of 100 mm and of 330 mm circumference.
    zoom_spread, offset: standard deviations of the zoom, and of the head's place in units of the frame.
    near_mm: depth of the near skull wall.
    fluid: amount of amniotic fluid, 1 is ample.
    clutter: chance of each other round thing beside the head.
    """

    trimester_weights: tuple[float, float, float]
    cephalic_index: tuple[float, float]
    deviation: float
    tilt_rad: float
    any_angle: float
    zoom: tuple[float, float]
    zoom_spread: float
    offset: tuple[float, float]
    near_mm: tuple[float, float]
    fluid: tuple[float, float]
    clutter: float


@dataclass(frozen=True)
class Patient:
    """Anatomy of one fetus and her mother. ``entropy`` seeds what is not spelt out here.

    weeks: her true age, which her circumference tells only as well as ``growth.py`` lets it.
    fluid, clutter: see ``Population``.
    """

    weeks: float
    contour: HeadContour
    bone_mm: float
    fluid: float
    clutter: float
    entropy: tuple[int, ...]


@dataclass(frozen=True)
class Aperture:
    """Field of view of a device: curvature of the probe (mm), sector width over frame width at the head, depth.

    cover: sector width over frame width, at the depth of the head's centre.
    depth_cover: end of the sector over the depth of the frame's lower edge.
    """

    radius_mm: tuple[float, float]
    cover: tuple[float, float]
    depth_cover: tuple[float, float]


def sample_patient(population: Population, entropy: tuple[int, ...]) -> Patient:
    """Draw a patient; a pure function of its arguments."""
    rng = np.random.default_rng(np.random.SeedSequence(entropy))
    weeks, circumference = draw_growth(rng, population.trimester_weights)
    index = float(np.clip(rng.normal(*population.cephalic_index), 0.66, 0.95))
    scale = population.deviation
    harmonics = (
        (1, float(rng.normal(0, scale)), 0.0),
        (3, float(rng.normal(0, 0.6 * scale)), float(rng.normal(0, 0.3))),
        (4, float(rng.normal(0, 0.35 * scale)), float(rng.uniform(0, 2 * np.pi))),
        (5, float(rng.normal(0, 0.25 * scale)), float(rng.uniform(0, 2 * np.pi))),
    )
    squareness = float(np.clip(rng.normal(2.08, 4 * scale), 1.85, 2.5))
    contour = head_contour(circumference, index, squareness, harmonics)
    bone = contour.half_length_mm * rng.uniform(0.034, 0.056)
    fluid = float(rng.uniform(*population.fluid))
    return Patient(weeks, contour, float(bone), fluid, population.clutter, (*entropy, 1))


def sample_view(
    population: Population, aperture: Aperture, size: tuple[int, int], patient: Patient, rng: np.random.Generator
) -> tuple[Frame, Sector, Pose]:
    """Place the head in a frame of ``size`` (width, height) pixels and the frame in the sector of the probe."""
    width, height = size
    contour = patient.contour
    if rng.random() < population.any_angle:
        rotation = rng.uniform(-np.pi, np.pi)
    else:
        rotation = rng.normal(0, population.tilt_rad) + np.pi * rng.integers(2)
    growth = (contour.circumference_mm - 100) / 230
    zoom = population.zoom[0] + (population.zoom[1] - population.zoom[0]) * growth
    zoom = np.clip(zoom * np.exp(rng.normal(0, population.zoom_spread)), 0.25, 0.95)
    # A steep head must fit the frame's height as well.
    upright = np.hypot(contour.half_length_mm * np.sin(rotation), contour.half_width_mm * np.cos(rotation))
    pixel = max(2 * contour.half_length_mm / (zoom * width), 2 * upright / (1.08 * height))
    centre_z = rng.uniform(*population.near_mm) + upright
    centre_x = rng.normal(0, 0.07) * width * pixel
    left = centre_x - np.clip(rng.normal(0.5, population.offset[0]), 0.3, 0.7) * width * pixel
    top = centre_z - np.clip(rng.normal(0.5, population.offset[1]), 0.32, 0.72) * height * pixel
    frame = Frame(width, height, float(pixel), float(left), float(top))

    radius = rng.uniform(*aperture.radius_mm)
    half_angle = np.arctan(0.5 * rng.uniform(*aperture.cover) * width * pixel / (radius + centre_z))
    depth = (top + height * pixel) * rng.uniform(*aperture.depth_cover)
    sector = Sector(float(radius), float(np.clip(half_angle, 0.3, 0.85)), float(depth))
    return frame, sector, Pose(float(centre_x), float(centre_z), float(rotation))
