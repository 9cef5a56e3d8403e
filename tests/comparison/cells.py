"""Small made-up cells: their arms, and their per-case scores as `evaluate` writes them."""

from pipeline.config.arms import Arm
from pipeline.data.tables import write_table

ARMS = {"real": Arm(extra="none", ratio=0), "synthetic": Arm(extra="synthetic", ratio=2)}


def row(id_, dice, patient=None, structure="head", cohort="far", mm=None, missing=False, country=None, area=None):
    return {
        "cohort": cohort,
        "structure": structure,
        "id": id_,
        "patient": patient or id_,
        "country": country,
        "device": None,
        "area": area,
        "dice": dice,
        "iou": dice / (2 - dice),
        "hd95_px": 10.0,
        "assd_px": 4.0,
        "hd95_mm": None if mm is None else 10 * mm,
        "assd_mm": None if mm is None else 4 * mm,
        "hc_error_mm": None if mm is None else 2.0,
        "hc_error_percent": 1.5,
        "missing": missing,
    }


def write_cells(folder, cells):
    for name, rows in cells.items():
        write_table(folder / f"{name}.csv", rows)
