"""A folder of one's own, and the format of the phantom cohorts.

``images/`` and ``masks/`` hold, at any depth, files of the suffixes that ``pipeline.decoding.decode`` lists; a mask
has the name of its image, and pixels that are class indices. ``cases.csv`` is optional: a column ``id`` (the image's
name) and any of ``patient``, ``pixel_mm``, ``hc_mm``, ``aop_deg``, ``hsd_mm``, ``ga_days``, ``ga_source``, ``country``,
``device``; a number, source, country or device may be left empty, a patient may not. Without the column ``patient``
every image is its own patient. An age is the pregnancy's own, ``given`` where the table does not say ``simulated``.
"""

from collections.abc import Sequence

import numpy as np

from pipeline.cohorts.ages import check_units
from pipeline.cohorts.source import Files, Note, Source, by_id, case_table, folders, stem, suffix
from pipeline.data import schema
from pipeline.data.ages import OWN_SOURCES
from pipeline.data.tables import Row
from pipeline.decoding import decode
from pipeline.decoding.decode import IMAGE_SUFFIXES, MASK_SUFFIXES
from pipeline.run.errors import InputError

CLASSES = None
"""The owner's affair: the parameter ``classes``, else the structures of the task."""
NUMBERS = ("pixel_mm", *schema.NUMBERS)
COLUMNS = ("id", "patient", *NUMBERS, "ga_source", "country", "device")
_TEXTS, _SPREADSHEETS = (".csv", ".tsv", ".txt"), (".xlsx", ".xls", ".ods")


def index(source: Source, labelled: bool) -> Files:
    """The files of the folder and the columns of ``cases.csv``.

    Raises:
        InputError: naming the file, row or column that is unknown, missing or contradictory.
    """
    images = by_id(_inside(source, "images", IMAGE_SUFFIXES))
    masks = by_id(_inside(source, "masks", MASK_SUFFIXES))
    beside = [name for name in source.names if stem(name).lower() == "cases" and not _part(name)]
    tables = [name for name in beside if suffix(name) in (*_TEXTS, *_SPREADSHEETS)]
    if len(tables) > 1:
        raise InputError(f"files '{tables[0]}' and '{tables[1]}' both describe the cases; keep one")
    if tables and suffix(tables[0]) in _SPREADSHEETS:
        raise InputError(f"file '{tables[0]}' describes the cases, but is a spreadsheet; save it as cases.csv")
    table = case_table(source, tables, images, COLUMNS, ("id",), _fields)
    check_units(tables, table)
    fields = {case_id: {"patient": case_id} | table.get(case_id, {}) for case_id in images}
    return Files(images, masks, fields, tables)


def decode_mask(data: bytes, name: str, note: Note) -> np.ndarray:
    return decode.decode_mask(data, name)


def _part(name: str) -> str | None:
    """Whether a file is an image or a mask, by the nearest folder that says so."""
    return next((folder for folder in folders(name) if folder in ("images", "masks")), None)


def _inside(source: Source, folder: str, suffixes: Sequence[str]) -> list[str]:
    names = [name for name in source.names if _part(name) == folder]
    for name in names:
        if suffix(name) not in suffixes:
            why = " (JPEG smears class indices along every edge)" if suffix(name) in (".jpg", ".jpeg") else ""
            raise InputError(f"file '{name}': {folder}/ may hold {', '.join(suffixes)} only{why}; convert or move it")
    return names


def _fields(row: Row) -> dict:
    if unknown := [column for column in row if column not in COLUMNS]:
        raise InputError(f"{row.file} has an unknown column '{unknown[0]}'; known are {', '.join(COLUMNS)}")
    fields: dict = {}
    if "patient" in row:
        if not row["patient"]:
            raise InputError(f"{row.place('patient')}: the patient is empty; fill it in or drop the column")
        fields["patient"] = row["patient"]
    for column in NUMBERS:
        if row.get(column):
            fields[column] = row.positive(column)
    if source := row.get("ga_source"):
        if source not in OWN_SOURCES:
            raise InputError(
                f"{row.place('ga_source')} is '{source}'; it may be {' or '.join(OWN_SOURCES)}. Leave out ages that "
                "were computed from a circumference: age_formula of the cohort does that"
            )
        if "ga_days" not in fields:
            raise InputError(f"{row.place('ga_source')} is '{source}' without an age in ga_days; give both or neither")
    if "ga_days" in fields:
        fields["ga_source"] = source or "given"
    for column in ("country", "device"):
        fields[column] = row.get(column) or None
    return fields
