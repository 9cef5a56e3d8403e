"""Measurements of symphysis and head in the default geometry, or in that of a challenge."""

from typing import NamedTuple

from pipeline.tools.measurements import pair_cells

GEOMETRIES = ("default", "official", "iugc2024")
NO_ANGLE = {
    "official": "the evaluator of the PSFHS challenge finds no angle (it scores 0 degrees)",
    "iugc2024": "the evaluator of IUGC 2024 finds no angle",
}


class Measurement(NamedTuple):
    """cells: of a table. failure: why there is no angle, or None. progression: what can be drawn, of the default."""

    cells: dict
    failure: str | None
    notes: tuple[str, ...] = ()
    progression: object | None = None


def measure_in(geometry: str, mask, head_side: str, pixel_mm: float | None) -> Measurement:
    """Measure a class map, integer (H, W), 1 symphysis and 2 head.

    Args:
        geometry: one of ``GEOMETRIES``. The challenges' hold for unmirrored images: a mirrored one is turned back.
        head_side: ``right``, or ``left`` of a mirrored image.
        pixel_mm: edge of a pixel in millimetres, or None.
    """
    from pipeline.tasks.segmentation.biometry.iugc2024 import iugc2024_biometry
    from pipeline.tasks.segmentation.biometry.official import at_official_size, official_angle
    from pipeline.tasks.segmentation.biometry.progression import Progression, measure_progression

    if geometry == "default":
        found = measure_progression(mask == 1, mask == 2, head_side)
        failure = None if found.failure is None else str(found.failure)
        return Measurement(pair_cells(found, pixel_mm), failure, found.notes, found)
    seen = mask if head_side == "right" else mask[:, ::-1]
    if geometry == "official":
        small = at_official_size(seen)
        angle = official_angle(small == 1, small == 2)
        found = None if angle is None else Progression(aop_deg=angle)
    else:
        found = iugc2024_biometry(seen == 1, seen == 2)
    return Measurement(pair_cells(found, pixel_mm), NO_ANGLE[geometry] if found is None else None)
