"""PSFHS: pubic symphysis and fetal head in intrapartum transperineal ultrasound, 256x256. Zenodo 10969427, CC BY 4.0.

Chen et al., "PSFHS: Intrapartum ultrasound image dataset for AI-based segmentation of pubic symphysis and fetal head",
Scientific Data 2024. Three hospitals in Guangzhou, China.

The publisher gives neither patient ids nor pixel sizes, so every image is its own patient until doubles are merged.
There are fewer women than images, many of which are neighbouring frames: use the cohort as held-out data as a whole, or
let ``near_doubles: merge`` keep near images on one side of a split.
"""

import numpy as np

from pipeline.cohorts.source import Files, Note, Source, by_id, folders, suffix
from pipeline.decoding import decode

CLASSES = ("background", "pubic_symphysis", "fetal_head")


def index(source: Source, labelled: bool) -> Files:
    """``image_mha/NNNNN.mha`` and ``label_mha/NNNNN.mha``."""
    names = [name for name in source.names if suffix(name) == ".mha"]
    images = by_id(name for name in names if "image_mha" in folders(name))
    masks = by_id(name for name in names if "label_mha" in folders(name))
    return Files(images, masks, {case_id: {"patient": case_id, "country": "CHN"} for case_id in images})


def decode_mask(data: bytes, name: str, note: Note) -> np.ndarray:
    return decode.decode_mask(data, name)
