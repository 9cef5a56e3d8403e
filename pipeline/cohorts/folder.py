"""A folder of one's own, and the format of the phantom cohorts.

``images/`` holds PNG, JPEG, BMP or TIFF files; ``masks/`` holds PNG, BMP or TIFF files of the same stem, their pixels
class indices; ``cases.csv`` is optional: a column ``id`` (the stem) and any of ``patient``, ``pixel_mm``, ``hc_mm``,
``country``, ``device``; a number, country or device may be left empty, a patient may not. Without the column
``patient`` every image is its own patient.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from pipeline.cohorts.source import Source, by_id, pair_masks, parent, positive, read_csv, suffix
from pipeline.data.case import Case
from pipeline.imaging.decoding import MASK_SUFFIXES, class_indices, decode_grey, decode_indices
from pipeline.run.errors import InputError

CLASSES = ("background", "head")

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")
COLUMNS = ("id", "patient", "pixel_mm", "hc_mm", "country", "device")


def read(root: Path, labelled: bool = True, classes: Sequence[str] = CLASSES) -> Iterator[Case]:
    """Cases of the folder; with ``labelled`` False a mask is optional. ``classes`` starts with the background.

    Raises:
        InputError: naming the file, row or column that is missing, damaged or contradictory.
    """
    with Source(root) as source:
        images = by_id(_inside(source, "images", IMAGE_SUFFIXES))
        masks = by_id(_inside(source, "masks", MASK_SUFFIXES))
        pairs = pair_masks(images, masks, labelled)
        table = _table(source, images)
        for case_id, image, mask_name in pairs:
            mask = None
            if mask_name is not None:
                mask = class_indices(decode_indices(source.read(mask_name), mask_name), len(classes))
            yield Case(
                id=case_id,
                cohort="folder",
                image=decode_grey(source.read(image), image),
                mask=mask,
                mask_source=None if mask is None else "annotated",
                **{"patient": case_id, **table.get(case_id, {})},
            )


def _inside(source: Source, folder: str, suffixes: Sequence[str]) -> list[str]:
    names = [name for name in source.names if parent(name) == folder]
    for name in names:
        if suffix(name) not in suffixes:
            raise InputError(f"file '{name}': {folder}/ may hold {', '.join(suffixes)} only; convert or move it")
    return names


def _table(source: Source, images: dict[str, str]) -> dict[str, dict]:
    """Columns of ``cases.csv`` per case id, ready for ``Case``; empty where there is no such file."""
    names = [name for name in source.names if PurePosixPath(name).name == "cases.csv"]
    if not names:
        return {}
    if len(names) > 1:
        raise InputError(f"files '{names[0]}' and '{names[1]}' both describe the cases; keep one")
    name, table = names[0], {}
    for row in read_csv(source, name, ("id",)):
        case_id = row["id"]
        for column in row:
            if column not in COLUMNS:
                raise InputError(f"file '{name}' has an unknown column '{column}'; known are {', '.join(COLUMNS)}")
        if case_id not in images:
            raise InputError(f"file '{name}': row '{case_id}' has no image; add the image or remove the row")
        if case_id in table:
            raise InputError(f"file '{name}' has two rows for '{case_id}'; keep one")
        table[case_id] = _fields(row, name)
    for case_id, image in images.items():
        if case_id not in table:
            raise InputError(f"file '{name}' has no row for image '{image}'; add the row or remove the image")
    return table


def _fields(row: dict[str, str], name: str) -> dict:
    fields: dict = {}
    if "patient" in row:
        if not row["patient"]:
            raise InputError(f"file '{name}', row '{row['id']}': the patient is empty; fill it in or drop the column")
        fields["patient"] = row["patient"]
    for column in ("pixel_mm", "hc_mm"):
        if row.get(column):
            fields[column] = positive(row[column], column, row["id"], name)
    for column in ("country", "device"):
        fields[column] = row.get(column) or None
    return fields
