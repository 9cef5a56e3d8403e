"""PSFHS: pubic symphysis and fetal head in intrapartum transperineal ultrasound, 256x256. Zenodo 10969427, CC BY 4.0.

Chen et al., "PSFHS: Intrapartum ultrasound image dataset for AI-based segmentation of pubic symphysis and fetal head",
Scientific Data 2024. Three hospitals in Guangzhou, China.

The publisher gives neither patient ids nor pixel sizes. Every image is therefore its own patient, except that images
with equal pixels are one. There are fewer women than images, so a split by these patients may put one woman on two
sides: use the cohort as held-out data as a whole, or say so beside any result that splits it.
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from pipeline.cohorts.source import Source, by_id, pair_masks, parent, suffix
from pipeline.core.case import Case, pixel_hash
from pipeline.core.errors import InputError

CLASSES = ("background", "pubic_symphysis", "fetal_head")


def read(root: Path, labelled: bool = True) -> Iterator[Case]:
    """Cases from ``image_mha/NNNNN.mha`` and ``label_mha/NNNNN.mha``; with ``labelled`` False a label is optional.

    Raises:
        InputError: naming the file that is missing or damaged.
    """
    first: dict[str, str] = {}
    with Source(root) as source:
        names = [name for name in source.names if suffix(name) == ".mha"]
        images = by_id(name for name in names if parent(name) == "image_mha")
        labels = by_id(name for name in names if parent(name) == "label_mha")
        for case_id, image_name, label in pair_masks(images, labels, labelled):
            image = grey_plane(decode_mha(source.read(image_name), image_name), image_name)
            yield Case(
                id=case_id,
                cohort="psfhs",
                patient=first.setdefault(pixel_hash(image), case_id),
                image=image,
                mask=None if label is None else grey_plane(decode_mha(source.read(label), label), label),
                mask_source=None if label is None else "annotated",
                country="CHN",
            )


def decode_mha(data: bytes, name: str) -> np.ndarray:
    """The array of a MetaImage file, as stored.

    Raises:
        InputError: naming a damaged file.
    """
    import SimpleITK

    # SimpleITK reads from paths only, and the file may lie in an archive.
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "image.mha"
        path.write_bytes(data)
        try:
            return SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(path)))
        except RuntimeError as error:
            reason = str(error).strip().splitlines()[-1].replace(str(path), name)
            raise InputError(f"file '{name}' is not a readable MetaImage ({reason}); fetch it again") from error


def grey_plane(array: np.ndarray, name: str) -> np.ndarray:
    """uint8 HxW from uint8 HxW or from three equal channels, 3xHxW or HxWx3.

    Raises:
        InputError: another type or shape, or channels that differ.
    """
    if array.dtype != np.uint8:
        raise InputError(f"file '{name}' holds {array.dtype} pixels, not 8-bit ones; export it again")
    if array.ndim == 3 and array.shape[-1] == 3 and array.shape[0] != 3:
        array = np.moveaxis(array, -1, 0)
    if array.ndim == 3 and array.shape[0] in (1, 3):
        if (array != array[:1]).any():
            raise InputError(f"file '{name}' is in colour; export it as grey")
        array = array[0]
    if array.ndim != 2:
        raise InputError(f"file '{name}' has the shape {array.shape}; a single image is expected, export it again")
    return np.ascontiguousarray(array)
