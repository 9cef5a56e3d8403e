"""Masks of symphysis and head that cannot be measured, or only with a note: uint8 (H, W), 1 symphysis, 2 head."""

import numpy as np

from pipeline.tasks.segmentation.biometry.progression import Failure
from tests.tasks.scenes import Oval, Scene

SCENE = Scene(Oval((90, 60), 30, 14, 0.0), Oval((130, 150), 60, 52, 0.4))
GOOD = SCENE.class_map()


def scene(symphysis=SCENE.symphysis, head=SCENE.head):
    return Scene(symphysis, head).class_map()


def only(index):
    return np.where(np.isin(GOOD, index), GOOD, 0).astype(np.uint8)


def replaced(index, rows, columns):
    """The structure ``index`` as a rectangle."""
    mask = only(3 - index)
    mask[rows, columns] = index
    return mask


def added(*parts):
    mask = GOOD.copy()
    for index, rows, columns in parts:
        mask[rows, columns] = index
    return mask


def dented():
    """A bite out of the head, on its near side, where no tangent touches."""
    mask = GOOD.copy()
    mask[110:180, 60:125] = np.where(mask[110:180, 60:125] == 2, 0, mask[110:180, 60:125])
    return mask


def threaded():
    """A head with a rod one pixel wide, which has no contour."""
    mask = scene(head=Oval((130, 150), 20, 18, 0.4))
    mask[150, 150:250] = mask[152, 150:250] = 2
    mask[150:153, 149] = 2
    return mask


def touching():
    """A symphysis that reaches the head with its middle, not with its end."""
    mask = GOOD.copy()
    rows = np.flatnonzero(mask[:, 100] == 2)
    mask[60 : rows[0], 98:102] = 1
    return mask


FAILURES = {
    "empty": (GOOD * 0, Failure.NEITHER),
    "no_symphysis": (only(2), Failure.NO_SYMPHYSIS),
    "no_head": (only(1), Failure.NO_HEAD),
    "speck_symphysis": (replaced(1, 60, slice(90, 95)), Failure.SMALL_SYMPHYSIS),
    "point_symphysis": (replaced(1, 60, 90), Failure.SMALL_SYMPHYSIS),
    "speck_head": (replaced(2, 150, slice(90, 95)), Failure.SMALL_HEAD),
    # A line one pixel wide has pixels enough and no contour.
    "line_head": (replaced(2, 150, slice(60, 200)), Failure.SMALL_HEAD),
    "round_symphysis": (scene(Oval((90, 60), 20, 19, 0.3)), Failure.ROUND_SYMPHYSIS),
    "square_symphysis": (replaced(1, slice(50, 62), slice(80, 92)), Failure.ROUND_SYMPHYSIS),
    "end_in_head": (scene(Oval((110, 100), 30, 14, 0.9)), Failure.END_IN_HEAD),
    "head_on_axis": (scene(head=Oval((205, 90), 45, 45, 0.0)), Failure.HEAD_ON_AXIS),
}
"""What has no angle, and why."""
NOTES = {
    "two_symphyses": (added((1, slice(5, 12), slice(200, 206))), "symphysis in 2 parts, the largest is measured"),
    "two_heads": (added((2, slice(240, 250), slice(10, 20))), "head in 2 parts, the largest is measured"),
    "cut_head": (GOOD[:200], "head touches the border of the image"),
    "cut_symphysis": (GOOD[:, 65:], "symphysis touches the border of the image"),
    "beside": (scene(head=Oval((190, 140), 50, 50, 0.0)), "the infrapubic line does not meet the head"),
    "dented_head": (dented(), "head is dented or hollow, its hull is more than 10 % larger"),
    "thin_head": (threaded(), "head has thin parts, its contour leaves out more than 10 %"),
    "touching": (touching(), "symphysis and head touch"),
    "round_head": (scene(head=Oval((130, 150), 55, 54, 0.4)), ""),
    "small": (GOOD[::2, ::2], ""),
}
"""What is measured, and what is said of it; some of other sizes."""
