"""Definitions of the four cohorts of fetal heads: who is scanned with what."""

from dataclasses import dataclass

from pipeline.simulation.device import Device
from pipeline.simulation.head.patient import Aperture, Population
from pipeline.simulation.view import CohortDefinition


@dataclass(frozen=True)
class HeadCohort(CohortDefinition):
    """population: the heads. aperture: how the sector shows them."""

    population: Population
    aperture: Aperture


PHANTOM_A = HeadCohort(
    Population(
        trimester_weights=(0.12, 0.66, 0.22),
        cephalic_index=(0.79, 0.04),
        deviation=0.016,
        tilt_rad=0.17,
        any_angle=0.12,
        zoom=(0.5, 0.68),
        zoom_spread=0.16,
        offset=(0.045, 0.055),
        near_mm=(22, 50),
        fluid=(0.2, 1.3),
        clutter=0.35,
    ),
    Aperture(radius_mm=(42, 62), cover=(0.65, 1.25), depth_cover=(0.95, 1.35)),
    device=Device(
        name="simulated-convex-a",
        sizes=((400, 270),),
        axial_mm=(0.19, 0.28),
        lateral_mm=(0.48, 0.72),
        looks=3,
        sidelobe=0.06,
        ringdown=0.04,
        dynamic_range_db=(48, 58),
        gain_db=(-4, 5),
        gamma=(1.7, 2.2),
        noise_db=(-62, -50),
        compensation_db_per_mm=(-0.03, 0.08),
        edge_fade_db=(0, 8),
        haze_db=(-64, -40),
        shadow_db=(0, 6),
        smoothing=(0.6, 0.6),
        skull_facing=(2.0, 7.0),
        skull_floor_db=(-21, -12),
        skull_level_db=(-7, 4),
        skull_gap_db=(0, 18),
        bone_db_per_mm=(0.8, 1.8),
        overlay="hc18",
    ),
    images_per_patient=(1, 1, 2, 1, 1, 1, 3),
)

PHANTOM_B = HeadCohort(
    Population(
        trimester_weights=(0.0, 0.75, 0.25),
        cephalic_index=(0.77, 0.045),
        deviation=0.02,
        tilt_rad=0.25,
        any_angle=0.12,
        zoom=(0.52, 0.8),
        zoom_spread=0.12,
        offset=(0.06, 0.05),
        near_mm=(18, 45),
        fluid=(0.2, 1.4),
        clutter=0.85,
    ),
    Aperture(radius_mm=(38, 58), cover=(0.85, 1.6), depth_cover=(1.0, 1.4)),
    device=Device(
        name="simulated-convex-b",
        sizes=((384, 264),),
        axial_mm=(0.2, 0.28),
        lateral_mm=(0.45, 0.75),
        looks=2,
        sidelobe=0.1,
        ringdown=0.06,
        dynamic_range_db=(42, 52),
        gain_db=(0, 7),
        gamma=(1.5, 1.9),
        noise_db=(-66, -54),
        compensation_db_per_mm=(-0.06, 0.06),
        edge_fade_db=(0, 10),
        haze_db=(-58, -34),
        shadow_db=(2, 18),
        smoothing=(0.4, 0.6),
        skull_facing=(2.0, 6.0),
        skull_floor_db=(-28, -14),
        skull_level_db=(-14, 1),
        skull_gap_db=(10, 34),
        bone_db_per_mm=(1.0, 2.4),
        overlay="text",
    ),
    images_per_patient=(1, 1, 2),
)

PHANTOM_C = HeadCohort(
    Population(
        trimester_weights=(0.06, 0.3, 0.64),
        cephalic_index=(0.82, 0.055),
        deviation=0.024,
        tilt_rad=0.3,
        any_angle=0.12,
        zoom=(0.46, 0.78),
        zoom_spread=0.15,
        offset=(0.07, 0.06),
        near_mm=(20, 45),
        fluid=(0.0, 0.7),
        clutter=0.5,
    ),
    Aperture(radius_mm=(35, 55), cover=(0.7, 1.15), depth_cover=(0.92, 1.1)),
    device=Device(
        name="simulated-low-cost-c",
        sizes=((350, 301), (350, 280), (304, 342), (320, 320)),
        axial_mm=(0.25, 0.42),
        lateral_mm=(0.65, 1.15),
        looks=2,
        sidelobe=0.14,
        ringdown=0.09,
        dynamic_range_db=(52, 64),
        gain_db=(-7, 4),
        gamma=(1.4, 2.1),
        noise_db=(-56, -45),
        compensation_db_per_mm=(-0.02, 0.12),
        edge_fade_db=(2, 14),
        haze_db=(-60, -35),
        shadow_db=(0, 12),
        smoothing=(0.8, 0.9),
        skull_facing=(5.0, 14.0),
        skull_floor_db=(-40, -20),
        skull_level_db=(-5, 5),
        skull_gap_db=(4, 24),
        bone_db_per_mm=(1.4, 3.0),
        overlay="calipers",
    ),
    images_per_patient=(1, 2, 1),
)

PHANTOM_D = HeadCohort(
    Population(
        trimester_weights=(0.0, 0.3, 0.7),
        cephalic_index=(0.78, 0.06),
        deviation=0.03,
        tilt_rad=0.6,
        any_angle=0.5,
        zoom=(0.4, 0.6),
        zoom_spread=0.15,
        offset=(0.09, 0.07),
        near_mm=(25, 60),
        fluid=(0.0, 0.5),
        clutter=0.5,
    ),
    Aperture(radius_mm=(8, 14), cover=(1.0, 1.5), depth_cover=(0.96, 1.02)),
    device=Device(
        name="simulated-phased-array-d",
        sizes=((256, 256),),
        axial_mm=(0.8, 1.1),
        lateral_mm=(2.0, 3.0),
        looks=1,
        sidelobe=0.2,
        ringdown=0.15,
        dynamic_range_db=(40, 48),
        gain_db=(-2, 6),
        gamma=(0.8, 1.1),
        noise_db=(-50, -41),
        compensation_db_per_mm=(-0.05, 0.1),
        edge_fade_db=(4, 16),
        haze_db=(-52, -36),
        shadow_db=(0, 14),
        smoothing=(0.0, 0.0),
        skull_facing=(6.0, 12.0),
        skull_floor_db=(-20, -12),
        skull_level_db=(0, 5),
        skull_gap_db=(0, 10),
        bone_db_per_mm=(2.0, 3.5),
        overlay="foreign",
    ),
    images_per_patient=(1, 1, 2),
    annotated=False,
)

COHORTS = {
    "phantom_a": PHANTOM_A,
    "phantom_b": PHANTOM_B,
    "phantom_c": PHANTOM_C,
    "phantom_d": PHANTOM_D,
}
