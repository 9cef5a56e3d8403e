"""What a view of the body gives the simulator: cohorts by name, and the anatomy of a case with its truth."""

from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np

from pipeline.simulation.device import Device
from pipeline.simulation.scan import Frame, PolarGrid, Sector
from pipeline.simulation.scene import Scene, SkullEcho


class Anatomy(Protocol):
    """What lies in the image plane of one case."""

    def scene(self, grid: PolarGrid, skull: SkullEcho, rng: np.random.Generator) -> Scene:
        """What the beam meets; ``rng`` belongs to the image."""

    def mask(self, frame: Frame) -> np.ndarray:
        """Class indices at the pixel centres of a frame, uint8 (height, width)."""

    def targets(self) -> dict[str, float | str]:
        """What is exactly known, by column of the dataset."""

    def burn_in(self, image: np.ndarray, overlay: str, frame: Frame, rng: np.random.Generator) -> None:
        """Draw the graphics named by ``Device.overlay`` in place."""


@dataclass(frozen=True, kw_only=True)
class CohortDefinition:
    """Who is scanned with what; a view adds the people and how they are scanned.

    images_per_patient: consecutive indices go to patients in this pattern, repeated for ever.
    """

    device: Device
    images_per_patient: tuple[int, ...]
    annotated: bool = True


class Placed(NamedTuple):
    """The anatomy of a case in the frame and sector that show it."""

    anatomy: Anatomy
    frame: Frame
    sector: Sector


class View(Protocol):
    """A module of this package, by the name of the parameter ``phantom.view``.

    COHORTS: definitions by name. TARGETS: the columns that ``Anatomy.targets`` holds.
    """

    COHORTS: dict[str, CohortDefinition]
    TARGETS: tuple[str, ...]

    def draw(
        self, cohort: CohortDefinition, size: tuple[int, int], entropy: tuple[int, ...], rng: np.random.Generator
    ) -> Placed:
        """A patient by ``entropy``, and a view of her by ``rng`` in a frame of ``size`` (width, height) pixels."""
