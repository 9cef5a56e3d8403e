"""PSFHS: pubic symphysis and fetal head in intrapartum transperineal ultrasound, 256x256. Zenodo 10969427, CC BY 4.0.

Chen et al., "PSFHS: Intrapartum ultrasound image dataset for AI-based segmentation of pubic symphysis and fetal head",
Scientific Data 2024. Three hospitals in Guangzhou, China.

The publisher gives neither patient ids nor pixel sizes, so every image is its own patient, named by its file number,
until doubles are merged. There are fewer women than images, many of which are neighbouring frames: as a training cohort
it needs ``near_doubles: merge``, which keeps near images on one side of a split.

Copies that users hold are read too: any size, MetaImage, NIfTI or PNG, and 7 and 8 in the place of 1 and 2.
"""

import numpy as np

from pipeline.cohorts.mask_labels import from_iugc
from pipeline.cohorts.source import Files, Note, Source, by_id, folders, suffix
from pipeline.decoding import decode
from pipeline.decoding.file_names import IMAGE_SUFFIXES

CLASSES = ("background", "pubic_symphysis", "fetal_head")
PATIENTS_NAMED_BY = "PSFHS file numbers"
"""The challenge FH-PS-AOP and PSFHS number their images in one series."""
_DIGITS = 5


def index(source: Source, labelled: bool) -> Files:
    """``image_mha/NNNNN.mha`` and ``label_mha/NNNNN.mha``, or other images of the same names in these folders."""
    names = [name for name in source.names if suffix(name) in IMAGE_SUFFIXES]
    images = by_id(name for name in names if _part(name) == "image_mha")
    masks = by_id(name for name in names if _part(name) == "label_mha")
    return Files(images, masks, {case_id: {"patient": _number(case_id), "country": "CHN"} for case_id in images})


def decode_mask(data: bytes, name: str, note: Note) -> np.ndarray:
    return from_iugc(decode.decode_mask(data, name), name, note)


def _part(name: str) -> str | None:
    """Whether a file is an image or a mask, by the nearest folder that says so."""
    return next((folder for folder in folders(name) if folder in ("image_mha", "label_mha")), None)


def _number(case_id: str) -> str:
    """The file number as its publisher writes it; another name as it is."""
    return case_id.zfill(_DIGITS) if case_id.isdecimal() else case_id
