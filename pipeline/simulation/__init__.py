"""Simulated B-mode images of phantoms, physically motivated, with exact masks and measurements.

Phantoms are phantoms: they exercise the pipeline, and nothing measured on them is a clinical statement.
Speckle is the blurred echo of complex Gaussian scatterers on a polar grid (Burckhardt 1978; Wagner et al. 1983); bone
reflects by angle and shadows by path length; a convex probe's sector is scan-converted and log-compressed.
A view is a package with the anatomy: ``head``, the fetal head in the womb; ``intrapartum``, the pubic symphysis and
the fetal head during labour; and ``cervix``, the lips of the cervix. Devices, acoustics and scan conversion are
the same for all.
"""

import zlib
from dataclasses import dataclass

import numpy as np

from pipeline.data.case import Case
from pipeline.run.errors import InputError
from pipeline.simulation import cervix, head, intrapartum
from pipeline.simulation.device import Device, grey_map, log_image_db
from pipeline.simulation.scan import Frame, Sector, inside_sector, polar_positions, scan_convert, visible_grid
from pipeline.simulation.scene import SkullEcho
from pipeline.simulation.view import Anatomy, View

VIEWS: dict[str, View] = {"head": head, "intrapartum": intrapartum, "cervix": cervix}
COHORTS: tuple[str, ...] = tuple(head.COHORTS)
N_BEAM, N_DEPTH = 224, 360


@dataclass(frozen=True)
class Plan:
    """Geometry of one case before any image is made. ``rng`` is positioned for the rest of the simulation."""

    patient_number: int
    anatomy: Anatomy
    frame: Frame
    sector: Sector
    rng: np.random.Generator


def plan_case(cohort: str, index: int, seed: int, view: str = "head") -> Plan:
    """Who is scanned and how, for ``simulate_case`` with the same arguments; takes a few milliseconds at most.

    Raises:
        InputError: for an unknown view or cohort, or a negative index.
    """
    if view not in VIEWS:
        raise InputError(f"view '{view}' is not simulated; choose one of {', '.join(VIEWS)}")
    if cohort not in VIEWS[view].COHORTS:
        raise InputError(f"cohort '{cohort}' is not simulated; choose one of {', '.join(VIEWS[view].COHORTS)}")
    if index < 0:
        raise InputError(f"index {index} of cohort '{cohort}' is negative; count from 0")
    definition = VIEWS[view].COHORTS[cohort]
    number = patient_number(index, definition.images_per_patient)
    stream = zlib.crc32((cohort if view == "head" else f"{view}/{cohort}").encode())
    rng = np.random.default_rng(np.random.SeedSequence((seed, stream, 1, index)))
    size = definition.device.sizes[number % len(definition.device.sizes)]
    anatomy, frame, sector = VIEWS[view].draw(definition, size, (seed, stream, 0, number), rng)
    return Plan(number, anatomy, frame, sector, rng)


def simulate_case(cohort: str, index: int, seed: int, view: str = "head") -> Case:
    """Image ``index`` of a simulated cohort: a pure function of its arguments, whatever else is simulated.

    Args:
        cohort: one of ``COHORTS``. ``phantom_a`` is the training device, ``phantom_b`` another device, ``phantom_c``
            another population on a low-cost device, ``phantom_d`` a foreign device without masks.
        index: from 0 up; neighbouring indices may share a patient.
        seed: of the whole simulation.
        view: a key of ``VIEWS``, which has the structures of the mask and the measurements of the case.

    Returns:
        A case with its exact mask and measurements; unlabelled cases have neither.
    """
    plan = plan_case(cohort, index, seed, view)
    definition, rng = VIEWS[view].COHORTS[cohort], plan.rng
    image, device = _image(plan, definition.device), definition.device
    plan.anatomy.burn_in(image, device.overlay, plan.frame, rng)
    truth = plan.anatomy.targets() if definition.annotated else {}
    return Case(
        id=f"{cohort}-{index:04d}",
        cohort=cohort,
        patient=f"{cohort}-p{plan.patient_number:04d}",
        image=image,
        mask=plan.anatomy.mask(plan.frame) if definition.annotated else None,
        pixel_mm=plan.frame.pixel_mm,
        device=device.name,
        mask_source="annotated" if definition.annotated else None,
        **truth,
    )


def _image(plan: Plan, device: Device) -> np.ndarray:
    """What the device shows, without its graphics: uint8 (height, width), black outside the sector."""
    rng = plan.rng
    angle, depth = polar_positions(plan.frame, plan.sector)
    inside = inside_sector(angle, depth, plan.sector)
    grid = visible_grid(angle, depth, inside, plan.sector, N_BEAM, N_DEPTH)
    skull = SkullEcho(
        facing_power=rng.uniform(*device.skull_facing),
        floor_db=rng.uniform(*device.skull_floor_db),
        level_db=rng.uniform(*device.skull_level_db),
        gap_db=rng.uniform(*device.skull_gap_db),
        attenuation_db_per_mm=rng.uniform(*device.bone_db_per_mm),
    )
    level_db = log_image_db(plan.anatomy.scene(grid, skull, rng), grid, device, rng)
    image = np.zeros(inside.shape, np.uint8)
    image[inside] = grey_map(scan_convert(level_db, grid, angle, depth, inside), device, rng)
    return image


def patient_number(index: int, images_per_patient: tuple[int, ...]) -> int:
    """Patient of an image when patients with these numbers of images follow one another, the pattern repeating."""
    round_, rest = divmod(index, sum(images_per_patient))
    return round_ * len(images_per_patient) + int(np.searchsorted(np.cumsum(images_per_patient), rest, side="right"))
