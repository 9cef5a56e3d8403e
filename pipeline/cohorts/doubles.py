"""Images that occur more than once: equal ones, re-encoded ones (compressed, resized), and near ones.

Every image is reduced to 64x64 grey values, so that neither its size nor its aspect counts. Measured on HC18 (400),
Spanish (48), African (25) and PSFHS (445 images):

* *Re-encoded*: the correlation of what lies between blurs of .7 and 3 pixels. Of 121 images of all four, JPEG of
  quality 30 to 95, resizing by .5 to 2, both, and quality 30 twice gave .9968 at the least (without quality 30 at half
  the size, .9977); of the 931 nearest pairs of PSFHS, neighbouring frames mostly, .9965 at the most. Other grey curves,
  single pixels left out, crops, flips and turns are not found.
* *Near*: the plain correlation, above .95 unless a cohort declares another bound. Of HC18's 79,800 pairs two are, both
  of one patient; of PSFHS 950 pairs with 347 images, nearly all within a few file numbers; between the four cohorts
  none (.69 at the most). The bound belongs to the size: at 48x48 grey values 1,128 pairs of PSFHS are above .95, which
  are above .935 here.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from pipeline.data.case import Case, pixel_hash

NEAR = 0.95
SAME = 0.9966
LARGEST_GROUP = 100
"""Images that near ones may chain together; PSFHS has runs of 25."""
SIDE, BLURS = 64, (0.7, 3.0)
BLOCK = 256


class Print(NamedTuple):
    """What is kept of an image. thumbnail: uint16 (64, 64), grey levels times 257. mask: hash, None without one."""

    case: str
    patient: str
    pixels: str
    mask: str | None
    thumbnail: np.ndarray


class Pair(NamedTuple):
    """Places of two images in their lists. kind: ``equal`` pixels, ``re-encoded`` or ``near``."""

    first: int
    second: int
    kind: str
    correlation: float


def fingerprint(case: Case) -> Print:
    from PIL import Image

    grey = Image.fromarray(case.image).convert("F").resize((SIDE, SIDE), Image.Resampling.BILINEAR)
    # The filter is a weighted mean: it leaves the range of grey levels by rounding alone.
    thumbnail = np.clip(np.round(np.asarray(grey) * 257), 0, 65535).astype(np.uint16)
    mask = None if case.mask is None else pixel_hash(case.mask)
    return Print(case.id, case.patient, pixel_hash(case.image), mask, thumbnail)


def pairs_within(prints: Sequence[Print], near: float = NEAR) -> list[Pair]:
    """Every pair of images that are doubles, in order. Of equal ones, each with the first and no other.

    Args:
        near: the correlation above which images are near.
    """
    firsts: dict[str, int] = {}
    equal = [(firsts.setdefault(one.pixels, index), index) for index, one in enumerate(prints)]
    found = [Pair(first, second, "equal", 1.0) for first, second in equal if first != second]
    different = sorted(firsts.values())
    found += (pair for pair in _similar(prints, different, prints, different, near) if pair.first < pair.second)
    return sorted(found)


def pairs_between(prints: Sequence[Print], others: Sequence[Print], near: float = NEAR) -> list[Pair]:
    """Every pair of an image of the one list and one of the other that are doubles; equal ones as within a list."""
    firsts: dict[str, int] = {}
    for index, one in enumerate(prints):
        firsts.setdefault(one.pixels, index)
    found = [Pair(firsts[o.pixels], index, "equal", 1.0) for index, o in enumerate(others) if o.pixels in firsts]
    theirs = [index for index, other in enumerate(others) if other.pixels not in firsts]
    return sorted([*found, *_similar(prints, sorted(firsts.values()), others, theirs, near)])


def _similar(
    prints: Sequence[Print], rows: list[int], others: Sequence[Print], columns: list[int], near: float
) -> Iterator[Pair]:
    """Re-encoded and near pairs of some images of two lists, a block of each in memory at a time."""
    for i in range(0, len(rows), BLOCK):
        ours = rows[i : i + BLOCK]
        plain, band = _vectors([prints[index] for index in ours])
        for j in range(0, len(columns), BLOCK):
            theirs = columns[j : j + BLOCK]
            if prints is others and theirs[-1] < ours[0]:
                continue
            other_plain, other_band = _vectors([others[index] for index in theirs])
            correlation = plain @ other_plain.T
            # Copies are looked for where the default looks, whatever counts as near.
            for row, column in zip(*np.nonzero(correlation > min(near, NEAR)), strict=True):
                copied = band[row] @ other_band[column] > SAME
                if copied or correlation[row, column] > near:
                    kind = "re-encoded" if copied else "near"
                    yield Pair(ours[row], theirs[column], kind, round(float(correlation[row, column]), 4))


def _vectors(prints: Iterable[Print]) -> tuple[np.ndarray, np.ndarray]:
    """float32 (n, 64 * 64) of length 1 and mean 0: the images, and what lies between their blurs."""
    from scipy import ndimage

    images = np.stack([one.thumbnail for one in prints]).astype(np.float32)
    fine, coarse = (ndimage.gaussian_filter(images, (0, blur, blur)) for blur in BLURS)
    return _normal(images), _normal(fine - coarse)


def _normal(images: np.ndarray) -> np.ndarray:
    flat = images.reshape(len(images), -1)
    flat = flat - flat.mean(axis=1, keepdims=True)
    return flat / np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-6)
