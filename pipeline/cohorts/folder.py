"""A folder of one's own, and the format of the phantom cohorts.

``images/`` holds PNG, JPEG, BMP or TIFF files; ``masks/`` holds PNG, BMP or TIFF files of the same stem, their pixels
class indices; ``cases.csv`` is optional: a column ``id`` (the stem) and any of ``patient``, ``pixel_mm``, ``hc_mm``,
``country``, ``device``; a number, country or device may be left empty, a patient may not. Without the column
``patient`` every image is its own patient.
"""

from collections.abc import Sequence
from pathlib import PurePosixPath

from pipeline.cohorts.source import Files, Source, by_id, case_table, parent, suffix
from pipeline.data.tables import Row
from pipeline.imaging import decoding
from pipeline.run.errors import InputError

CLASSES = None
"""The owner's affair: the parameter ``classes``, else the structures of the task."""
decode_mask = decoding.decode_mask
IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")
COLUMNS = ("id", "patient", "pixel_mm", "hc_mm", "country", "device")


def index(source: Source, labelled: bool) -> Files:
    """The files of the folder and the columns of ``cases.csv``.

    Raises:
        InputError: naming the file, row or column that is unknown, missing or contradictory.
    """
    images = by_id(_inside(source, "images", IMAGE_SUFFIXES))
    masks = by_id(_inside(source, "masks", decoding.MASK_SUFFIXES))
    tables = [name for name in source.names if PurePosixPath(name).name == "cases.csv"]
    if len(tables) > 1:
        raise InputError(f"files '{tables[0]}' and '{tables[1]}' both describe the cases; keep one")
    table = case_table(source, tables, images, ("id",), lambda row: row["id"], _fields)
    return Files(images, masks, {case_id: {"patient": case_id} | table.get(case_id, {}) for case_id in images})


def _inside(source: Source, folder: str, suffixes: Sequence[str]) -> list[str]:
    names = [name for name in source.names if parent(name) == folder]
    for name in names:
        if suffix(name) not in suffixes:
            raise InputError(f"file '{name}': {folder}/ may hold {', '.join(suffixes)} only; convert or move it")
    return names


def _fields(row: Row) -> dict:
    if unknown := [column for column in row if column not in COLUMNS]:
        raise InputError(f"{row.file} has an unknown column '{unknown[0]}'; known are {', '.join(COLUMNS)}")
    fields: dict = {}
    if "patient" in row:
        if not row["patient"]:
            raise InputError(f"{row.place('patient')}: the patient is empty; fill it in or drop the column")
        fields["patient"] = row["patient"]
    for column in ("pixel_mm", "hc_mm"):
        if row.get(column):
            fields[column] = row.positive(column)
    for column in ("country", "device"):
        fields[column] = row.get(column) or None
    return fields
