"""The transvaginal view of the cervix, midsagittal plane: anterior and posterior lip along the cervical canal.

On the screen the probe is on top and the mother's head on the left: bladder and anterior lip above the canal, the
posterior lip below it, the internal os and the fetal head on the left.
"""

from dataclasses import dataclass, replace

import numpy as np

from pipeline.simulation.cervix.anatomy import Cervix, Patient, sample_patient
from pipeline.simulation.cervix.cohorts import COHORTS, CervixCohort
from pipeline.simulation.cervix.display import burn_in
from pipeline.simulation.cervix.tissue import scene
from pipeline.simulation.ellipse import Ellipse
from pipeline.simulation.scan import Frame, PolarGrid
from pipeline.simulation.scene import Scene, SkullEcho
from pipeline.simulation.view import Placed

TARGETS = ()
ROCKED_ABOUT_MM = (0.0, 10.0)

__all__ = ["COHORTS", "TARGETS", "Sagittal", "draw"]


@dataclass(frozen=True)
class Sagittal:
    """The cervix and the head of a patient as they lie in one image; an ``Anatomy``."""

    patient: Patient
    cervix: Cervix
    head: Ellipse

    def scene(self, grid: PolarGrid, skull: SkullEcho, rng: np.random.Generator) -> Scene:
        return scene(grid, self.patient, self.cervix, self.head, skull, rng)

    def mask(self, frame: Frame) -> np.ndarray:
        """1 in the anterior and 2 in the posterior lip; cut by the frame and not by the sector."""
        x, z = frame.pixel_centres_mm()
        along, across = self.cervix.canal.own_coordinates(x[None, :], z[:, None])
        mask = np.zeros((frame.height, frame.width), np.uint8)
        for value, lip in enumerate(self.cervix.lips, start=1):
            mask[self.cervix.level(lip, along, across) <= 1] = value
        return mask

    def targets(self) -> dict[str, float]:
        """None: the length of the closed canal, ``cervix.closed_mm``, has no column in a dataset."""
        return {}

    def burn_in(self, image: np.ndarray, overlay: str, frame: Frame, rng: np.random.Generator) -> None:
        burn_in(image, overlay, frame, rng)


def draw(cohort: CervixCohort, size: tuple[int, int], entropy: tuple[int, ...], rng: np.random.Generator) -> Placed:
    """A patient by ``entropy``, and a view of her by ``rng`` in a frame of ``size`` (width, height) pixels."""
    patient = sample_patient(cohort.population, entropy)
    shift, turn = cohort.field.motion(rng)
    canal = patient.cervix.canal.moved(shift, turn, ROCKED_ABOUT_MM)
    head = patient.head.moved(shift, turn, ROCKED_ABOUT_MM)
    frame, sector = cohort.field.framed(size, rng)
    return Placed(Sagittal(patient, replace(patient.cervix, canal=canal), head), frame, sector)
