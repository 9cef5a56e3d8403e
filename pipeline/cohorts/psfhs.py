"""PSFHS: pubic symphysis and fetal head in intrapartum transperineal ultrasound, 256x256. Zenodo 10969427, CC BY 4.0.

Chen et al., "PSFHS: Intrapartum ultrasound image dataset for AI-based segmentation of pubic symphysis and fetal head",
Scientific Data 2024. Three hospitals in Guangzhou, China.

The publisher gives neither patient ids nor pixel sizes. Every image is therefore its own patient, except that images
with equal pixels are one. There are fewer women than images, so a split by these patients may put one woman on two
sides: use the cohort as held-out data as a whole, or say so beside any result that splits it.
"""

from pipeline.cohorts.source import Files, Source, by_id, parent, suffix
from pipeline.imaging import decoding

CLASSES = ("background", "pubic_symphysis", "fetal_head")
decode_mask = decoding.decode_mask


def index(source: Source, labelled: bool) -> Files:
    """``image_mha/NNNNN.mha`` and ``label_mha/NNNNN.mha``."""
    names = [name for name in source.names if suffix(name) == ".mha"]
    images = by_id(name for name in names if parent(name) == "image_mha")
    masks = by_id(name for name in names if parent(name) == "label_mha")
    return Files(images, masks, {case_id: {"country": "CHN"} for case_id in images})
