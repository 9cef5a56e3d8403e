"""The transperineal view during labour, midsagittal plane: pubic symphysis, fetal head and the angle of progression.

On the screen the probe is on top and the mother's front on the left. The angle of progression is the angle at the
inferior end of the symphysis between its long axis and the far-side tangent to the fetal skull (Barbera et al. 2009,
Ultrasound Obstet. Gynecol. 33:313).
"""

from dataclasses import dataclass

import numpy as np

from pipeline.simulation.ellipse import Ellipse, gap_mm
from pipeline.simulation.intrapartum.anatomy import Patient, inferior_end, sample_patient
from pipeline.simulation.intrapartum.cohorts import COHORTS, IntrapartumCohort
from pipeline.simulation.intrapartum.display import burn_in
from pipeline.simulation.intrapartum.tissue import scene
from pipeline.simulation.scan import Frame, PolarGrid
from pipeline.simulation.scene import Scene, SkullEcho
from pipeline.simulation.view import Placed

TARGETS = ("aop_deg", "hsd_mm")
ROCKED_ABOUT_MM = (0.0, 40.0)

__all__ = ["COHORTS", "TARGETS", "Labour", "draw"]


@dataclass(frozen=True)
class Labour:
    """Symphysis and head of a patient as they lie in one image; an ``Anatomy``."""

    patient: Patient
    symphysis: Ellipse
    head: Ellipse

    def scene(self, grid: PolarGrid, skull: SkullEcho, rng: np.random.Generator) -> Scene:
        return scene(grid, self.patient, self.symphysis, self.head, skull, rng)

    def mask(self, frame: Frame) -> np.ndarray:
        """1 in the symphysis and 2 in the head, as in PSFHS; cut by the frame and not by the sector."""
        x, z = frame.pixel_centres_mm()
        mask = np.zeros((frame.height, frame.width), np.uint8)
        for value, structure in ((1, self.symphysis), (2, self.head)):
            mask[structure.contains(x[None, :], z[:, None])] = value
        return mask

    def targets(self) -> dict[str, float]:
        """Angle of progression in degrees, shortest distance from the symphysis' inferior end to the head in mm; both
        analytic.
        """
        end = Ellipse(inferior_end(self.symphysis), 0, 0, 0)
        return {"aop_deg": self.patient.aop_deg, "hsd_mm": gap_mm(end, self.head)}

    def burn_in(self, image: np.ndarray, overlay: str, frame: Frame, rng: np.random.Generator) -> None:
        burn_in(image, overlay, frame, rng)


def draw(
    cohort: IntrapartumCohort, size: tuple[int, int], entropy: tuple[int, ...], rng: np.random.Generator
) -> Placed:
    """A patient by ``entropy``, and a view of her by ``rng`` in a frame of ``size`` (width, height) pixels."""
    patient = sample_patient(cohort.population, entropy)
    shift, turn = cohort.field.motion(rng)
    symphysis, head = (one.moved(shift, turn, ROCKED_ABOUT_MM) for one in (patient.symphysis, patient.head))
    frame, sector = cohort.field.framed(size, rng)
    return Placed(Labour(patient, symphysis, head), frame, sector)
