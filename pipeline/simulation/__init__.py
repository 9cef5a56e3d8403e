"""Simulated B-mode images of fetal-head phantoms, physically motivated, with exact masks and circumferences.

Phantoms are phantoms: they exercise the pipeline, and nothing measured on them is a clinical statement.
Speckle is the blurred echo of complex Gaussian scatterers on a polar grid (Burckhardt 1978; Wagner et al. 1983); bone
reflects by angle and shadows by path length; a convex probe's sector is scan-converted and log-compressed.
"""

import zlib
from dataclasses import dataclass

import numpy as np

from pipeline.data.case import Case
from pipeline.run.errors import InputError
from pipeline.simulation.cohorts import DEFINITIONS
from pipeline.simulation.device import grey_map, log_image_db
from pipeline.simulation.display import burn_in
from pipeline.simulation.head import HeadPose, rasterise
from pipeline.simulation.patient import Patient, sample_patient, sample_view
from pipeline.simulation.scan import Frame, Sector, inside_sector, polar_positions, scan_convert, visible_grid
from pipeline.simulation.tissue import SkullEcho, scene

COHORTS: tuple[str, ...] = tuple(DEFINITIONS)
N_BEAM, N_DEPTH = 224, 360


@dataclass(frozen=True)
class Plan:
    """Geometry of one case before any image is made. ``rng`` is positioned for the rest of the simulation."""

    patient_number: int
    patient: Patient
    frame: Frame
    sector: Sector
    pose: HeadPose
    rng: np.random.Generator


def plan_case(cohort: str, index: int, seed: int) -> Plan:
    """Who is scanned and how, for ``simulate_case`` with the same arguments; takes well under a millisecond.

    Raises:
        InputError: for an unknown cohort or a negative index.
    """
    if cohort not in DEFINITIONS:
        raise InputError(f"cohort '{cohort}' is not simulated; choose one of {', '.join(COHORTS)}")
    if index < 0:
        raise InputError(f"index {index} of cohort '{cohort}' is negative; count from 0")
    definition = DEFINITIONS[cohort]
    number = patient_number(index, definition.images_per_patient)
    stream = zlib.crc32(cohort.encode())
    patient = sample_patient(definition.population, (seed, stream, 0, number))
    rng = np.random.default_rng(np.random.SeedSequence((seed, stream, 1, index)))
    size = definition.device.sizes[number % len(definition.device.sizes)]
    frame, sector, pose = sample_view(definition.population, definition.device.aperture, size, patient, rng)
    return Plan(number, patient, frame, sector, pose, rng)


def simulate_case(cohort: str, index: int, seed: int) -> Case:
    """Image ``index`` of a simulated cohort: a pure function of its arguments, whatever else is simulated.

    Args:
        cohort: one of ``COHORTS``. ``phantom_a`` is the training device, ``phantom_b`` another device, ``phantom_c``
            another population on a low-cost device, ``phantom_d`` a foreign device without masks.
        index: from 0 up; neighbouring indices may share a patient.
        seed: of the whole simulation.

    Returns:
        A case whose mask is the filled outer edge of the skull (cut by the frame, not by the sector, as in HC18), and
        whose ``hc_mm`` is the length of the full analytic contour; unlabelled cases have neither.
    """
    plan = plan_case(cohort, index, seed)
    patient, frame, sector, pose = plan.patient, plan.frame, plan.sector, plan.pose
    definition, device, rng = DEFINITIONS[cohort], DEFINITIONS[cohort].device, plan.rng
    angle, depth = polar_positions(frame, sector)
    inside = inside_sector(angle, depth, sector)
    grid = visible_grid(angle, depth, inside, sector, N_BEAM, N_DEPTH)
    skull = SkullEcho(
        facing_power=rng.uniform(*device.skull_facing),
        floor_db=rng.uniform(*device.skull_floor_db),
        level_db=rng.uniform(*device.skull_level_db),
        gap_db=rng.uniform(*device.skull_gap_db),
        attenuation_db_per_mm=rng.uniform(*device.bone_db_per_mm),
    )
    level_db = log_image_db(scene(grid, patient, pose, skull, rng), grid, device, rng)
    image = np.zeros(inside.shape, np.uint8)
    image[inside] = grey_map(scan_convert(level_db, grid, angle, depth, inside), device, rng)
    burn_in(image, device.overlay, frame, patient.contour, pose, rng)
    mask = rasterise(patient.contour, pose, *frame.pixel_centres_mm()) if definition.annotated else None
    return Case(
        id=f"{cohort}-{index:04d}",
        cohort=cohort,
        patient=f"{cohort}-p{plan.patient_number:04d}",
        image=image,
        mask=mask,
        pixel_mm=frame.pixel_mm,
        hc_mm=patient.contour.circumference_mm if definition.annotated else None,
        device=device.name,
        mask_source="annotated" if definition.annotated else None,
    )


def patient_number(index: int, images_per_patient: tuple[int, ...]) -> int:
    """Patient of an image when patients with these numbers of images follow one another, the pattern repeating."""
    round_, rest = divmod(index, sum(images_per_patient))
    return round_ * len(images_per_patient) + int(np.searchsorted(np.cumsum(images_per_patient), rest, side="right"))
