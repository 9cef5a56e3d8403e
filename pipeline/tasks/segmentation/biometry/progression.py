"""Progression of labour from the masks of symphysis and head: what is measured, or why it cannot be."""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from pipeline.tasks.segmentation.biometry.angle import (
    angle_of_progression,
    area_of,
    head_direction,
    hull_of,
    is_inside,
    middle_of,
)
from pipeline.tasks.segmentation.biometry.distance import infrapubic_distance, shortest_distance
from pipeline.tasks.segmentation.biometry.part import Part, contact, contour, largest_part
from pipeline.tasks.segmentation.biometry.symphysis import SIDE_UNDEFINED, Axis, HeadSide, symphysis_axis

FEWEST_POINTS = 6
"""A conic has five degrees of freedom; the challenge's evaluator asks for more than five points too."""
DENTED = 1.1
"""From this ratio of the areas of hull and head the tangent may touch what is no skull; 1.009 at the most in 445 true
masks."""
ENCLOSED = 0.9
"""Below this share of the head inside its contour much of it is too thin to be measured; .999 at the least there."""


class Failure(StrEnum):
    """Why masks have no angle."""

    NEITHER = "no symphysis and no head"
    NO_SYMPHYSIS = "no symphysis"
    NO_HEAD = "no head"
    SMALL_SYMPHYSIS = "too few contour points of the symphysis"
    SMALL_HEAD = "too few contour points of the head"
    ROUND_SYMPHYSIS = "axis undefined, the symphysis is round"
    END_IN_HEAD = "inferior end of the symphysis inside the head"
    HEAD_ON_AXIS = "ends of the symphysis undefined, the head lies along its axis"


@dataclass(frozen=True, kw_only=True)
class Progression:
    """One measurement. Points are float (2,) as (x, y) in pixels; what was not measured is None.

    aop_deg: angle of progression in degrees, above 180 where the head has passed the extension of the axis.
    hsd_px: shortest head-symphysis distance. hsd_infrapubic_px: the one along the infrapubic line, where that line
        meets the head. head_direction_deg: see :func:`head_direction`.
    tangent, nearest, infrapubic: where the tangent, the shortest distance and the infrapubic line meet the head.
    failure: why there is no angle. notes: what a reader should know although it could be measured.
    """

    aop_deg: float | None = None
    hsd_px: float | None = None
    hsd_infrapubic_px: float | None = None
    head_direction_deg: float | None = None
    axis: Axis | None = None
    tangent: np.ndarray | None = None
    nearest: np.ndarray | None = None
    infrapubic: np.ndarray | None = None
    failure: Failure | None = None
    notes: tuple[str, ...] = ()


def measure_progression(symphysis: np.ndarray, head: np.ndarray, head_side: HeadSide = "right") -> Progression:
    """Measure in the default geometry; bad masks have a named failure and raise nothing.

    Args:
        symphysis, head: bool [H, W].
        head_side: the declared handedness of the image, see ``HeadSide``.
    """
    bone, skull = largest_part(symphysis, "symphysis"), largest_part(head, "head")
    if bone is None or skull is None:
        missing = Failure.NO_HEAD if bone else Failure.NO_SYMPHYSIS if skull else Failure.NEITHER
        return Progression(failure=missing, notes=tuple(note for one in (bone, skull) if one for note in one.notes))
    notes = (*bone.notes, *skull.notes)
    if bone.outline_points < FEWEST_POINTS:
        return Progression(failure=Failure.SMALL_SYMPHYSIS, notes=notes)
    rim = contour(skull.mask)
    if skull.outline_points < FEWEST_POINTS or len(rim) < FEWEST_POINTS:
        return Progression(failure=Failure.SMALL_HEAD, notes=notes)
    hull = hull_of(rim)
    notes, middle = (*notes, *_doubts(bone, skull, rim, hull)), middle_of(hull)
    axis = symphysis_axis(bone.mask, middle, head_side)
    if axis is None:
        return Progression(failure=Failure.ROUND_SYMPHYSIS, notes=notes)
    if is_inside(axis.inferior, hull):
        return Progression(axis=axis, failure=Failure.END_IN_HEAD, notes=notes)
    if axis.degrees_beside(middle) < SIDE_UNDEFINED:
        return Progression(failure=Failure.HEAD_ON_AXIS, notes=notes)
    aop_deg, tangent = angle_of_progression(axis, hull, head_side)
    hsd_px, nearest = shortest_distance(axis.inferior, rim)
    hsd_infrapubic_px, infrapubic = infrapubic_distance(axis, rim, head_side) or (None, None)
    return Progression(
        aop_deg=aop_deg,
        hsd_px=hsd_px,
        hsd_infrapubic_px=hsd_infrapubic_px,
        head_direction_deg=head_direction(axis, skull.mask, head_side),
        axis=axis,
        tangent=tangent,
        nearest=nearest,
        infrapubic=infrapubic,
        notes=notes if infrapubic is not None else (*notes, "the infrapubic line does not meet the head"),
    )


def _doubts(bone: Part, skull: Part, rim: np.ndarray, hull: np.ndarray) -> list[str]:
    """What of the shapes makes a measurement doubtful, but not impossible."""
    notes, area = [], np.count_nonzero(skull.mask)
    if area_of(hull) > DENTED * area:
        notes.append("head is dented or hollow, its hull is more than 10 % larger")
    if area_of(rim) < ENCLOSED * area:
        notes.append("head has thin parts, its contour leaves out more than 10 %")
    if how := contact(bone.mask, skull.mask):
        notes.append(f"symphysis and head {how}")
    return notes
