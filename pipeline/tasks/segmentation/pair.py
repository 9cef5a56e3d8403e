"""The two structures between which progression is measured."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.data.structures import Structure, with_role
from pipeline.tasks.segmentation.biometry.progression import Progression, measure_progression


@dataclass(frozen=True)
class Pair:
    """Symphysis and head, by class index: what is measured between them is scored in the region ``PAIR``."""

    symphysis: int
    head: int

    def measure(self, class_map: np.ndarray) -> Progression:
        """Measure class indices, integer [H, W], of an image that is not mirrored."""
        return measure_progression(class_map == self.symphysis, class_map == self.head)

    def angle(self, class_map: np.ndarray) -> float:
        """Angle of progression in degrees; nan where it cannot be measured."""
        found = self.measure(class_map).aop_deg
        return float("nan") if found is None else found


def pair_of(structures: Sequence[Structure]) -> Pair | None:
    """The structures with the roles ``symphysis`` and ``head``; None where either is lacking."""
    symphyses, heads = (with_role(structures, role) for role in ("symphysis", "head"))
    return Pair(symphyses[0], heads[0]) if symphyses and heads else None
