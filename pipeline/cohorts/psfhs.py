"""PSFHS: pubic symphysis and fetal head in intrapartum transperineal ultrasound, 256x256. Zenodo 10969427, CC BY 4.0.

Chen et al., "PSFHS: Intrapartum ultrasound image dataset for AI-based segmentation of pubic symphysis and fetal head",
Scientific Data 2024. Three hospitals in Guangzhou, China.

The publisher gives neither patient ids nor pixel sizes. Every image is therefore its own patient, except that images
with equal pixels are one. There are fewer women than images, so a split by these patients may put one woman on two
sides: use the cohort as held-out data as a whole, or say so beside any result that splits it.
"""

from collections.abc import Iterator
from pathlib import Path

from pipeline.cohorts.source import Source, by_id, pair_masks, parent, suffix
from pipeline.data.case import Case, pixel_hash
from pipeline.imaging.metaimage import decode_mha, grey_plane

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
