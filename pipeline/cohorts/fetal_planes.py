"""Head planes from Spain (FETAL_PLANES_DB) and five African countries, one naming family each. CC BY 4.0.

Images: Zenodo 3904280 (Burgos-Artizzu et al., Sci Rep 2020) and 7540448 (Sendra-Balcells et al., Sci Rep 2023, without
masks). Masks of the Spanish images: Zenodo 8265464 (Alzubaidi et al., Data in Brief 2023), which ships its own copies
of the images at 959x661.

Masks are painted: red brain, green cavum septi pellucidi, blue lateral ventricle. The head is their union. Its edge
is meant as the outer edge of the skull, as in HC18, but less consistently: on 48 annotated images the brightest ring of
the skull lies inside the edge by a median of 3 % of the head's radius (HC18: 4 %), and in a quarter of them the edge
runs along the middle of the bone (1 % or less). Two images that are published twice with two masks agree to Dice .975
and .985, which bounds what any score on this cohort can mean.
"""

import re

import numpy as np
from scipy import ndimage

from pipeline.cohorts.source import Files, Note, Source, by_id, folders, stem, suffix
from pipeline.decoding.decode import decode_colours
from pipeline.run.errors import InputError

CLASSES = ("background", "head")
PATIENTS_NAMED_BY = "FETAL_PLANES_DB"
"""One patient has one name in every cohort of this reader."""

_SPANISH = re.compile(r"(?P<patient>Patient\d+)_Plane(?P<plane>\d+)_\d+_of_\d+")
_AFRICAN = re.compile(r"(?P<patient>patient\d+)_(?P<country>[A-Z]{3})_plane(?P<plane>\d+)")
_HEAD_PLANE = {_SPANISH: "3", _AFRICAN: "1"}
_MASK_FOLDERS = {"masks", "segmentationclass"}
_SUFFIXES = (".png", ".jpg", ".jpeg")


def index(source: Source, labelled: bool) -> Files:
    """The head planes; abdomen, femur and the like in the publishers' archives are passed over.

    Masks lie in a folder ``masks`` (or ``SegmentationClass``, the annotation's own export), images in any other one,
    under the same name. A patient of the African cohort is ``CCC-patientNNN``, for numbers repeat across countries.

    Raises:
        InputError: naming the file that is not named by either publisher's rule.
    """
    pictures = [name for name in source.names if suffix(name) in _SUFFIXES]
    names = [name for name in pictures if _is_head_plane(name)]
    masks = by_id(name for name in names if _MASK_FOLDERS.intersection(folders(name)))
    images = by_id(name for name in names if not _MASK_FOLDERS.intersection(folders(name)))
    fields = {case_id: _origin(case_id) for case_id in images}
    return Files(images, masks, fields, others={"planes of other kinds": sorted(set(pictures) - set(names))})


def decode_mask(data: bytes, name: str, note: Note) -> np.ndarray:
    return head_from_colours(decode_colours(data, name))


def head_from_colours(colours: np.ndarray) -> np.ndarray:
    """uint8 HxW, 1 in the head: the largest region where any channel of the uint8 HxWx3 mask is set, holes filled.

    A channel counts as set from 128, half way up an anti-aliased or JPEG-softened edge. Only the largest region is
    kept, because compression and stray clicks leave specks. All 0 where nothing is painted.
    """
    painted = ndimage.binary_fill_holes((colours >= 128).any(axis=-1))
    regions, count = ndimage.label(painted)
    if count > 1:
        painted = regions == 1 + np.argmax(np.bincount(regions.ravel())[1:])
    return painted.astype(np.uint8)


def _match(case_id: str) -> re.Match[str] | None:
    return _SPANISH.fullmatch(case_id) or _AFRICAN.fullmatch(case_id)


def _is_head_plane(name: str) -> bool:
    match = _match(stem(name))
    if match is None:
        raise InputError(
            f"file '{name}' is not named PatientNNNNN_PlaneP_i_of_n or patientNNN_CCC_planeP; "
            "move it elsewhere, or use the 'folder' reader"
        )
    return match["plane"] == _HEAD_PLANE[match.re]


def _origin(case_id: str) -> dict:
    """Patient and ISO 3166-1 alpha-3 country from the file name."""
    match = _match(case_id)
    if match.re is _SPANISH:
        return {"patient": match["patient"], "country": "ESP"}
    return {"patient": f"{match['country']}-{match['patient']}", "country": match["country"]}
