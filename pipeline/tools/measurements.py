"""The cells of a table of measurements that commands share: circumference of a head, and the pair's."""

from pipeline.cohorts.bounds import BOUNDS

HEAD_COLUMNS = ("circumference_px", "circumference_mm")
PAIR_COLUMNS = ("aop_deg", "hsd_px", "hsd_mm", "hsd_infrapubic_px", "hsd_infrapubic_mm", "head_direction_deg")
"""Of symphysis and head."""
HEAD_MM = BOUNDS["measured circumference"].refuse
"""Plausible circumferences of a fetal head, in millimetres."""


def head_cells(head, pixel_mm: float | None) -> dict:
    """``HEAD_COLUMNS`` of a head, bool (H, W), with a ``warning`` where no head measures that; nothing of an empty one.

    Args:
        pixel_mm: edge of a pixel in millimetres, or None.
    """
    from pipeline.tasks.segmentation.biometry.circumference import head_circumference_px

    if not (around := head_circumference_px(head)):
        return {}
    mm = round(around * pixel_mm, 2) if pixel_mm else None
    cells = {"circumference_px": round(around, 2), "circumference_mm": mm}
    if mm is not None and not HEAD_MM[0] <= mm <= HEAD_MM[1]:
        cells["warning"] = f"no fetal head measures {mm:g} mm around; check the mask and the pixel size"
    return cells


def pair_cells(progression, pixel_mm: float | None) -> dict:
    """``PAIR_COLUMNS`` of a ``Progression``, or of what has some of its values; nothing of None.

    Args:
        pixel_mm: edge of a pixel in millimetres, or None.
    """
    values = {name: getattr(progression, name, None) for name in PAIR_COLUMNS}
    if pixel_mm is not None:
        for name in ("hsd", "hsd_infrapubic"):
            values[f"{name}_mm"] = None if (px := values[f"{name}_px"]) is None else px * pixel_mm
    return {name: None if one is None else round(one, 2) for name, one in values.items()}
