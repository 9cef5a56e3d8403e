"""The view of the fetal head in the womb, transventricular plane: one structure, its circumference, the true age."""

from dataclasses import dataclass

import numpy as np

from pipeline.simulation.head.cohorts import COHORTS, HeadCohort
from pipeline.simulation.head.contour import rasterise
from pipeline.simulation.head.display import burn_in
from pipeline.simulation.head.patient import Patient, sample_patient, sample_view
from pipeline.simulation.head.tissue import scene
from pipeline.simulation.outline import Pose
from pipeline.simulation.scan import Frame, PolarGrid
from pipeline.simulation.scene import Scene, SkullEcho
from pipeline.simulation.view import Placed

TARGETS = ("hc_mm", "ga_days", "ga_source")

__all__ = ["COHORTS", "TARGETS", "Head", "draw"]


@dataclass(frozen=True)
class Head:
    """A head in the image plane; an ``Anatomy``."""

    patient: Patient
    pose: Pose

    def scene(self, grid: PolarGrid, skull: SkullEcho, rng: np.random.Generator) -> Scene:
        return scene(grid, self.patient, self.pose, skull, rng)

    def mask(self, frame: Frame) -> np.ndarray:
        """The filled outer edge of the skull, cut by the frame and not by the sector, as in HC18."""
        return rasterise(self.patient.contour, self.pose, *frame.pixel_centres_mm())

    def targets(self) -> dict[str, float | str]:
        """The length of the full analytic contour, and the age that her growth was drawn with."""
        circumference, days = self.patient.contour.circumference_mm, 7 * self.patient.weeks
        return {"hc_mm": circumference, "ga_days": days, "ga_source": "simulated"}

    def burn_in(self, image: np.ndarray, overlay: str, frame: Frame, rng: np.random.Generator) -> None:
        burn_in(image, overlay, frame, self.patient.contour, self.pose, rng)


def draw(cohort: HeadCohort, size: tuple[int, int], entropy: tuple[int, ...], rng: np.random.Generator) -> Placed:
    """A patient by ``entropy``, and a view of her by ``rng`` in a frame of ``size`` (width, height) pixels."""
    patient = sample_patient(cohort.population, entropy)
    frame, sector, pose = sample_view(cohort.population, cohort.aperture, size, patient, rng)
    return Placed(Head(patient, pose), frame, sector)
