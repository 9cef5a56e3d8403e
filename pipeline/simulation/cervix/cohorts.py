"""Definitions of the four cohorts of the cervix view: who is scanned with what."""

from dataclasses import dataclass, replace

from pipeline.simulation.cervix.anatomy import Population
from pipeline.simulation.device import Device
from pipeline.simulation.field import Field
from pipeline.simulation.view import CohortDefinition


@dataclass(frozen=True)
class CervixCohort(CohortDefinition):
    """population: cervices. field: what the picture shows of them."""

    population: Population
    field: Field


WOMEN = Population(
    canal_mm=(34, 6),
    bend_per_m=(6, 9),
    tilt_deg=(-6, 9),
    middle_mm=((-2, 10), (20, 28)),
    thickness_mm=((9.5, 1.5), (10, 1.6)),
    gap_mm=(0.6, 2.0),
    funnel=0.12,
    bladder=0.65,
)

FIELD = Field(
    radius_mm=(9, 12),
    half_angle_deg=(56, 66),
    depth_mm=(50, 62),
    top=(0.06, 0.1),
    bottom=(0.93, 0.98),
    middle=(0.46, 0.54),
    rock_deg=4.0,
    slide_mm=1.8,
    press_mm=0.8,
    at_most_sd=2.0,
)

COHORTS = {
    "phantom_a": CervixCohort(
        WOMEN,
        FIELD,
        device=Device(
            name="simulated-transvaginal-a",
            sizes=((544, 336),),
            axial_mm=(0.14, 0.2),
            lateral_mm=(0.35, 0.55),
            looks=2,
            sidelobe=0.08,
            ringdown=0.06,
            dynamic_range_db=(46, 56),
            gain_db=(4, 11),
            gamma=(1.1, 1.6),
            noise_db=(-60, -48),
            compensation_db_per_mm=(-0.06, 0.12),
            edge_fade_db=(0, 12),
            haze_db=(-68, -48),
            shadow_db=(0, 10),
            smoothing=(0.6, 0.6),
            skull_facing=(3.0, 9.0),
            skull_floor_db=(-34, -22),
            skull_level_db=(-6, 4),
            skull_gap_db=(6, 28),
            bone_db_per_mm=(1.0, 2.6),
            overlay="ticks",
        ),
        images_per_patient=(2, 1, 3, 1),
    ),
    "phantom_b": CervixCohort(
        replace(WOMEN, canal_mm=(31, 7), tilt_deg=(-9, 10), bladder=0.45, funnel=0.18),
        replace(
            FIELD, radius_mm=(10, 14), half_angle_deg=(60, 70), depth_mm=(54, 70), top=(0.05, 0.09), bottom=(0.95, 1.0)
        ),
        device=Device(
            name="simulated-transvaginal-b",
            sizes=((544, 336), (560, 420)),
            axial_mm=(0.13, 0.2),
            lateral_mm=(0.32, 0.5),
            looks=4,
            sidelobe=0.1,
            ringdown=0.06,
            dynamic_range_db=(54, 66),
            gain_db=(0, 9),
            gamma=(1.3, 1.8),
            noise_db=(-62, -50),
            compensation_db_per_mm=(-0.1, 0.1),
            edge_fade_db=(0, 10),
            haze_db=(-62, -44),
            shadow_db=(2, 16),
            smoothing=(0.8, 0.8),
            skull_facing=(2.0, 6.0),
            skull_floor_db=(-30, -18),
            skull_level_db=(-9, 1),
            skull_gap_db=(8, 32),
            bone_db_per_mm=(1.0, 3.0),
            overlay="text",
        ),
        images_per_patient=(1, 2, 2),
    ),
    "phantom_c": CervixCohort(
        replace(WOMEN, canal_mm=(35, 7), thickness_mm=((8.5, 1.6), (9, 1.8)), bend_per_m=(6, 13), tilt_deg=(-4, 11)),
        replace(
            FIELD, radius_mm=(9, 13), half_angle_deg=(48, 58), depth_mm=(56, 76), top=(0.04, 0.08), bottom=(0.92, 0.99)
        ),
        device=Device(
            name="simulated-transvaginal-low-cost-c",
            sizes=((400, 300), (480, 320), (360, 288)),
            axial_mm=(0.25, 0.4),
            lateral_mm=(0.6, 1.0),
            looks=1,
            sidelobe=0.14,
            ringdown=0.1,
            dynamic_range_db=(48, 58),
            gain_db=(0, 8),
            gamma=(1.2, 1.7),
            noise_db=(-56, -45),
            compensation_db_per_mm=(-0.05, 0.18),
            edge_fade_db=(2, 14),
            haze_db=(-62, -44),
            shadow_db=(0, 14),
            smoothing=(0.7, 0.8),
            skull_facing=(4.0, 12.0),
            skull_floor_db=(-40, -24),
            skull_level_db=(-4, 5),
            skull_gap_db=(4, 28),
            bone_db_per_mm=(1.6, 3.4),
            overlay="none",
        ),
        images_per_patient=(1, 2, 1),
    ),
    "phantom_d": CervixCohort(
        replace(WOMEN, tilt_deg=(-6, 16), bend_per_m=(6, 16)),
        replace(
            FIELD, radius_mm=(9, 13), half_angle_deg=(38, 46), depth_mm=(64, 84), top=(0.01, 0.03), bottom=(0.95, 0.99)
        ),
        device=Device(
            name="simulated-transvaginal-phased-array-d",
            sizes=((480, 360),),
            axial_mm=(0.5, 0.8),
            lateral_mm=(1.2, 2.0),
            looks=1,
            sidelobe=0.2,
            ringdown=0.15,
            dynamic_range_db=(40, 48),
            gain_db=(2, 10),
            gamma=(0.8, 1.1),
            noise_db=(-48, -38),
            compensation_db_per_mm=(-0.1, 0.15),
            edge_fade_db=(4, 16),
            haze_db=(-52, -38),
            shadow_db=(0, 14),
            smoothing=(0.0, 0.0),
            skull_facing=(6.0, 12.0),
            skull_floor_db=(-24, -14),
            skull_level_db=(0, 5),
            skull_gap_db=(0, 14),
            bone_db_per_mm=(1.6, 3.0),
            overlay="foreign",
        ),
        images_per_patient=(1, 1, 2),
        annotated=False,
    ),
}
