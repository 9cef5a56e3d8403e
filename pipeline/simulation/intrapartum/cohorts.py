"""Definitions of the four cohorts of the intrapartum view: who is scanned with what."""

from dataclasses import dataclass, replace

from pipeline.simulation.device import Device
from pipeline.simulation.intrapartum.anatomy import Population


@dataclass(frozen=True)
class Field:
    """What the picture shows. Ranges are (low, high), drawn per image.

    radius_mm: curvature of the probe's face.
    half_angle_deg: of the sector.
    depth_mm: of the sector.
    top, bottom: where its beginning and end lie on the probe's axis, in units of the frame's height.
    middle: where the axis lies, in units of the frame's width.
    rock_deg, slide_mm, press_mm: standard deviations of how the probe turns, slides and is pressed between images.
    """

    radius_mm: tuple[float, float]
    half_angle_deg: tuple[float, float]
    depth_mm: tuple[float, float]
    top: tuple[float, float] = (0.05, 0.08)
    bottom: tuple[float, float] = (0.85, 0.92)
    middle: tuple[float, float] = (0.46, 0.52)
    rock_deg: float = 4.0
    slide_mm: float = 2.5
    press_mm: float = 1.2


@dataclass(frozen=True)
class IntrapartumCohort:
    """images_per_patient: consecutive indices go to patients in this pattern, repeated for ever."""

    population: Population
    field: Field
    device: Device
    images_per_patient: tuple[int, ...]
    annotated: bool = True


WOMEN = Population(
    aop_deg=(108, 23, 70, 165),
    symphysis_mm=(22, 2.5),
    symphysis_ratio=(0.55, 0.06),
    slope_deg=(17, 12),
    symphysis_at_mm=((-24, -8), (14, 25)),
    head_mm=(55, 4),
    head_ratio=(0.81, 0.05),
    head_turn_deg=(8, 9),
    gap_mm=(4, 17),
    bladder=0.35,
    caput_mm=(1, 7),
)

CONVEX_A = Device(
    name="simulated-intrapartum-a",
    sizes=((256, 256),),
    axial_mm=(0.32, 0.48),
    lateral_mm=(0.9, 1.4),
    looks=2,
    sidelobe=0.08,
    ringdown=0.06,
    dynamic_range_db=(48, 58),
    gain_db=(-5, 4),
    gamma=(1.5, 2.1),
    noise_db=(-66, -54),
    compensation_db_per_mm=(-0.02, 0.06),
    edge_fade_db=(0, 12),
    haze_db=(-64, -46),
    shadow_db=(0, 12),
    smoothing=(0.5, 0.6),
    skull_facing=(2.0, 6.0),
    skull_floor_db=(-34, -22),
    skull_level_db=(-6, 3),
    skull_gap_db=(0, 22),
    bone_db_per_mm=(0.6, 1.6),
    overlay="ticks",
)

COHORTS = {
    "phantom_a": IntrapartumCohort(
        WOMEN,
        Field(radius_mm=(34, 44), half_angle_deg=(34, 44), depth_mm=(138, 158)),
        CONVEX_A,
        images_per_patient=(2, 1, 3, 1),
    ),
}
