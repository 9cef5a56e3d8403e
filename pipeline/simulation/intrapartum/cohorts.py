"""Definitions of the four cohorts of the intrapartum view: who is scanned with what."""

from dataclasses import dataclass, replace

from pipeline.simulation.device import Device
from pipeline.simulation.field import Field
from pipeline.simulation.intrapartum.anatomy import Population
from pipeline.simulation.view import CohortDefinition


@dataclass(frozen=True)
class IntrapartumCohort(CohortDefinition):
    """population: symphyses and heads. field: what the picture shows of them."""

    population: Population
    field: Field


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

FIELD = Field(
    radius_mm=(34, 44),
    half_angle_deg=(34, 44),
    depth_mm=(138, 158),
    top=(0.05, 0.08),
    bottom=(0.85, 0.92),
    middle=(0.46, 0.52),
    rock_deg=4.0,
    slide_mm=2.5,
    press_mm=1.2,
    at_most_sd=2.5,
)

COHORTS = {
    "phantom_a": IntrapartumCohort(
        WOMEN,
        FIELD,
        device=Device(
            name="simulated-intrapartum-a",
            sizes=((256, 256),),
            axial_mm=(0.22, 0.34),
            lateral_mm=(0.45, 0.75),
            looks=2,
            sidelobe=0.08,
            ringdown=0.06,
            dynamic_range_db=(43, 53),
            gain_db=(2, 9),
            gamma=(1.1, 1.6),
            noise_db=(-66, -54),
            compensation_db_per_mm=(-0.02, 0.06),
            edge_fade_db=(0, 12),
            haze_db=(-70, -50),
            shadow_db=(0, 12),
            smoothing=(0.5, 0.6),
            skull_facing=(3.0, 9.0),
            skull_floor_db=(-34, -22),
            skull_level_db=(-4, 5),
            skull_gap_db=(6, 32),
            bone_db_per_mm=(0.6, 1.6),
            overlay="ticks",
        ),
        images_per_patient=(2, 1, 3, 1),
    ),
    "phantom_b": IntrapartumCohort(
        replace(WOMEN, aop_deg=(116, 24, 70, 165), slope_deg=(12, 13), bladder=0.5, caput_mm=(2, 11)),
        replace(
            FIELD,
            radius_mm=(38, 52),
            half_angle_deg=(32, 40),
            depth_mm=(140, 165),
            top=(0.02, 0.05),
            bottom=(0.93, 0.98),
        ),
        device=Device(
            name="simulated-intrapartum-b",
            sizes=((320, 256),),
            axial_mm=(0.2, 0.3),
            lateral_mm=(0.4, 0.7),
            looks=4,
            sidelobe=0.1,
            ringdown=0.06,
            dynamic_range_db=(52, 64),
            gain_db=(0, 9),
            gamma=(1.3, 1.8),
            noise_db=(-66, -54),
            compensation_db_per_mm=(-0.05, 0.06),
            edge_fade_db=(0, 10),
            haze_db=(-64, -44),
            shadow_db=(2, 18),
            smoothing=(0.7, 0.8),
            skull_facing=(2.0, 6.0),
            skull_floor_db=(-30, -18),
            skull_level_db=(-9, 1),
            skull_gap_db=(10, 36),
            bone_db_per_mm=(0.8, 2.2),
            overlay="text",
        ),
        images_per_patient=(1, 2, 2),
    ),
    "phantom_c": IntrapartumCohort(
        replace(WOMEN, symphysis_mm=(20, 2.5), head_mm=(52, 4), head_ratio=(0.84, 0.05), gap_mm=(3, 20)),
        replace(
            FIELD,
            radius_mm=(28, 40),
            half_angle_deg=(30, 36),
            depth_mm=(150, 190),
            top=(0.03, 0.06),
            bottom=(0.9, 0.98),
        ),
        device=Device(
            name="simulated-intrapartum-low-cost-c",
            sizes=((300, 280), (320, 320), (280, 256)),
            axial_mm=(0.35, 0.55),
            lateral_mm=(0.8, 1.3),
            looks=1,
            sidelobe=0.14,
            ringdown=0.1,
            dynamic_range_db=(48, 58),
            gain_db=(-3, 6),
            gamma=(1.2, 1.7),
            noise_db=(-62, -51),
            compensation_db_per_mm=(-0.02, 0.1),
            edge_fade_db=(2, 14),
            haze_db=(-66, -45),
            shadow_db=(0, 14),
            smoothing=(0.7, 0.8),
            skull_facing=(4.0, 12.0),
            skull_floor_db=(-40, -24),
            skull_level_db=(-4, 5),
            skull_gap_db=(4, 28),
            bone_db_per_mm=(1.2, 2.8),
            overlay="none",
        ),
        images_per_patient=(1, 2, 1),
    ),
    "phantom_d": IntrapartumCohort(
        replace(WOMEN, head_turn_deg=(8, 18), slope_deg=(17, 16)),
        replace(
            FIELD,
            radius_mm=(9, 15),
            half_angle_deg=(40, 46),
            depth_mm=(140, 170),
            top=(0.01, 0.03),
            bottom=(0.95, 0.99),
        ),
        device=Device(
            name="simulated-intrapartum-phased-array-d",
            sizes=((256, 256),),
            axial_mm=(0.8, 1.1),
            lateral_mm=(2.0, 3.0),
            looks=1,
            sidelobe=0.2,
            ringdown=0.15,
            dynamic_range_db=(40, 48),
            gain_db=(0, 8),
            gamma=(0.8, 1.1),
            noise_db=(-52, -43),
            compensation_db_per_mm=(-0.05, 0.1),
            edge_fade_db=(4, 16),
            haze_db=(-54, -38),
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
