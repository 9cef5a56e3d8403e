"""What age is estimated from: numbers of an image alone, and of a mask of its head.

Lengths are in pixels of a frame: the image with a longer side of ``age.image_size``, whatever its own resolution, so
that synthetic images and real ones, and images of one head on two screens, have features of one scale.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

import numpy as np

from pipeline.config.binning import FixedBinWidth
from pipeline.data.case import Case
from pipeline.data.stacking import at_size
from pipeline.data.structures import Structure, with_role
from pipeline.features.feature_table import FeatureTable
from pipeline.features.radiomics import FEATURES, radiomics
from pipeline.features.radiomics.regions import region_features, region_radiomics
from pipeline.features.uint8_overflow import BIN_WIDTH, overflowed_image
from pipeline.imaging.letterbox import Letterbox
from pipeline.run.errors import InputError
from pipeline.tasks.gestational_age.layout import AS_IT_IS, SIZES
from pipeline.tasks.gestational_age.zoom import rescaled
from pipeline.tasks.segmentation.biometry.circumference import head_circumference_px

IMAGE_REGIONS, MASK_REGIONS = ("sector",), ("mask", "ring")
IMAGE_FEATURES = region_features(IMAGE_REGIONS)
_BINNED = [place for place, name in enumerate(FEATURES) if not name.startswith(("first_order.", "shape."))]
"""The features that bins have a part in."""
MASK_FEATURES = (*region_features(MASK_REGIONS), *(f"overflow.{FEATURES[place]}" for place in _BINNED))
"""Of the head and the ring; and of the head what the published run computed, see ``features/uint8_overflow.py``."""


def zoomed(case: Case, scale: float) -> Case:
    """The case with its image rescaled and nothing else; without a mask, which then is another one."""
    return case if scale == AS_IT_IS else replace(case, image=rescaled(case.image, scale), mask=None, mask_source=None)


def head_index(structures: Sequence[Structure]) -> int:
    """The class of the head in a mask.

    Raises:
        InputError: there is none.
    """
    if not (found := with_role(structures, "head")):
        raise InputError("task.structures has none with role head, whose circumference tells the age")
    return found[0]


def image_features(cases: Iterable[Case], size: int, binning) -> FeatureTable:
    """``IMAGE_FEATURES`` of cases from their images alone."""
    return _table(
        cases,
        IMAGE_FEATURES,
        lambda case: region_radiomics(at_size(_alone(case), size)[0], None, binning, IMAGE_REGIONS),
    )


def mask_features(cases: Iterable[Case], masks: Iterable[np.ndarray], size: int, binning) -> FeatureTable:
    """``SIZES`` and ``MASK_FEATURES`` of heads.

    Args:
        masks: bool (H, W) of each case, the head at native resolution; an empty one has no features.
    """
    found = iter(masks)

    def of(case: Case) -> np.ndarray:
        head = next(found)
        scale = Letterbox.fit(case.image.shape, size).scale
        around = head_circumference_px(head)
        sizes = [np.nan if not case.pixel_mm else case.pixel_mm / scale, around * scale if around else np.nan]
        image, mask = at_size(replace(case, mask=head.astype(np.uint8), mask_source="filter"), size)
        return np.concatenate(
            [sizes, region_radiomics(image, mask > 0, binning, MASK_REGIONS), _broken(image, mask > 0)]
        )

    return _table(cases, (*SIZES, *MASK_FEATURES), of)


def _broken(image: np.ndarray, head: np.ndarray) -> np.ndarray:
    """Binned features of a head, bool (H, W), by bins that an overflow of 8 bits has broken."""
    if not head.any():
        return np.full(len(_BINNED), np.nan)
    broken = overflowed_image(np.ascontiguousarray(image), head)
    return radiomics(broken, head, FixedBinWidth(width=BIN_WIDTH))[_BINNED]


def _alone(case: Case) -> Case:
    return replace(case, mask=np.zeros(case.image.shape, np.uint8), mask_source="filter")


def _table(cases: Iterable[Case], names: tuple[str, ...], of: Callable[[Case], np.ndarray]) -> FeatureTable:
    ids, patients, values = [], [], []
    for case in cases:
        ids.append(case.id)
        patients.append(case.patient)
        values.append(of(case))
    return FeatureTable(tuple(ids), tuple(patients), names, np.array(values).reshape(len(ids), len(names)))


_REASONS = {
    "pixel_mm": "its pixel size is not known, nor its circumference in millimetres; leave the arm out of age.arms",
    "hc_px": "its mask has no head, whose circumference would tell its age",
}


def check_sizes(arm: str, table: FeatureTable) -> None:
    """Raise InputError, naming the first case, where a circumference in millimetres is not known."""
    for name in SIZES:
        unknown = np.flatnonzero(np.isnan(table.values[:, table.names.index(name)]))
        if len(unknown):
            raise InputError(f"arm '{arm}', case '{table.ids[unknown[0]]}': {_REASONS[name]}")
