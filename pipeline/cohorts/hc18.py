"""HC18: fetal head at 800x540, the annotation an elliptic outline. Zenodo 1327317, CC BY 4.0.

van den Heuvel et al., "Automated measurement of fetal head circumference using 2D ultrasound images", PLOS ONE 2018.

The annotation is an ellipse drawn as a thin line (about three pixels wide), and the published circumference is that of
the line's centre: filled with the line the head is 0.6 % too large, without it 0.6 % too small. So the mask is the
ellipse fitted to the line, i.e. a pixel belongs to the head when its centre lies inside the line's centre. The fit also
closes the outlines that the image border cuts, where filling holes returns the bare line.

Other drawings are taken as what they are, and noted: a filled region is the head up to its edge; a line of more than
six pixels is cut along its middle; a thinner closed line that is no ellipse is filled to its outer edge. A line left
open is refused, unless it follows an ellipse for three quarters.
"""

import math
import re
from typing import NamedTuple

import numpy as np
from scipy import ndimage

from pipeline.cohorts.source import Files, Note, Source, by_id, case_table, stem, suffix
from pipeline.data.tables import Row
from pipeline.decoding import decode
from pipeline.imaging.ellipse import ellipse_perimeter
from pipeline.run.errors import InputError

CLASSES = ("background", "head")

_NAME = re.compile(r"(\d+)_\d*HC(_Annotation)?")
_CSV_ENDS = ("pixel_size_and_hc.csv", "pixel_size.csv")
_FILE, _PIXEL, _CIRCUMFERENCE = "filename", "pixel size(mm)", "head circumference (mm)"
# Pixels. Half the line's width is 1.5 (the largest distance found in 400 annotations); an annotation further than
# twice that from its ellipse was not drawn as one. A line with a half width beyond that is a thick one.
_TOLERANCE = 3.0
# Share of the ellipse inside the image along which the line is drawn, and share of the ellipse inside the image.
_DRAWN, _INSIDE = 0.75, 0.5
_SECTORS = 72
# Of what a line encloses, the share that is not line; below, the drawing is a filled region.
_HOLLOW = 0.1
# A region's share of its convex hull. Heads have more than .9, a line left open has less than .3.
_SOLID = 0.8
# Pixels; half the width of what counts as a region and no stroke.
_STROKE = 4


class Ellipse(NamedTuple):
    """Centre (x, y), semi-axes and the angle of the first one from the x axis; pixels and radians."""

    x: float
    y: float
    a: float
    b: float
    angle: float

    def circumference(self) -> float:
        """In pixels."""
        return ellipse_perimeter(self.a, self.b)

    def at(self, angles: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(x, y) of its points, by their angles (radians) in its own frame."""
        cos, sin = math.cos(self.angle), math.sin(self.angle)
        u, v = self.a * np.cos(angles), self.b * np.sin(angles)
        return self.x + u * cos - v * sin, self.y + u * sin + v * cos

    def frame(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Coordinates along the axes in units of the semi-axes: the ellipse is the unit circle."""
        dx, dy, cos, sin = x - self.x, y - self.y, math.cos(self.angle), math.sin(self.angle)
        return (dx * cos + dy * sin) / self.a, (dy * cos - dx * sin) / self.b


def index(source: Source, labelled: bool) -> Files:
    """The training set, or (``labelled`` False) any HC18 images, which may come without the table of pixel sizes.

    ``010_HC``, ``010_2HC``, ``010_3HC`` are one patient.

    Raises:
        InputError: naming the file or row that is missing, misnamed or contradictory.
    """
    names = [name for name in source.names if suffix(name) == ".png"]
    for name in names:
        if not _NAME.fullmatch(stem(name)):
            raise InputError(f"file '{name}' is not named NNN_HC.png or NNN_HC_Annotation.png; move it elsewhere")
    masks = by_id((n for n in names if stem(n).endswith("_Annotation")), _case_id)
    images = by_id((n for n in names if not stem(n).endswith("_Annotation")), _case_id)
    tables = [name for name in source.names if name.lower().endswith(_CSV_ENDS)]
    if labelled and not tables:
        raise InputError("training_set_pixel_size_and_HC.csv is missing; fetch it from Zenodo 1327317")
    required = (_FILE, _PIXEL, *([_CIRCUMFERENCE] if labelled else []))
    measured = case_table(source, tables, images, (_FILE, _PIXEL, _CIRCUMFERENCE), required, _sizes)
    origin = {case_id: {"patient": _NAME.fullmatch(case_id).group(1), "country": "NLD"} for case_id in images}
    fields = {case_id: origin[case_id] | measured.get(case_id, {}) for case_id in images}
    return Files(images, masks, fields, tables)


def decode_mask(data: bytes, name: str, note: Note) -> np.ndarray:
    return fill_annotation(decode.decode_mask(data, name), name, note)


def _sizes(row: Row) -> dict:
    columns = {"pixel_mm": _PIXEL, "hc_mm": _CIRCUMFERENCE}
    return {field: row.positive(column) for field, column in columns.items() if column in row}


def fill_annotation(annotation: np.ndarray, name: str, note: Note = lambda text: None) -> np.ndarray:
    """uint8 HxW, 1 inside the head, from the annotation: uint8 HxW, drawn above half of its largest value.

    Raises:
        InputError: nothing is drawn, a line that is neither an ellipse nor closed, or several regions.
    """
    drawn = annotation > annotation.max() / 2
    ellipse = fit_ellipse(drawn)
    if ellipse is not None and _distance(ellipse, drawn) <= _TOLERANCE:
        return _closed(ellipse, drawn, name, note)
    filled = ndimage.binary_fill_holes(drawn)
    _, regions = ndimage.label(filled, np.ones((3, 3)))
    if regions > 1:
        raise InputError(
            f"annotation '{name}' holds {regions} separate regions or lines; keep the head's outline alone"
        )
    if not _is_region(filled):
        raise InputError(f"annotation '{name}' is neither an ellipse nor a closed outline; draw it again, or close it")
    if (filled & ~drawn).sum() < _HOLLOW * filled.sum():
        note("annotation is a filled region, taken as it is")
        return filled.astype(np.uint8)
    if ndimage.distance_transform_edt(drawn).max() > _TOLERANCE:
        note("annotation is a thick line, cut along its middle")
        return _to_the_middle(filled, filled & ~drawn)
    note("annotation is a closed line but no ellipse, filled to its outer edge")
    return filled.astype(np.uint8)


def _closed(ellipse: Ellipse, drawn: np.ndarray, name: str, note: Note) -> np.ndarray:
    """The inside of an ellipse, if its line is drawn along most of it."""
    angles = (np.arange(_SECTORS) + 0.5) * (2 * math.pi / _SECTORS) - math.pi
    columns, rows = ellipse.at(angles)
    inside = (rows >= 0) & (rows < drawn.shape[0]) & (columns >= 0) & (columns < drawn.shape[1])
    u, v = ellipse.frame(*np.nonzero(drawn)[::-1])
    there = np.bincount(
        ((np.arctan2(v, u) + math.pi) * (_SECTORS / (2 * math.pi))).astype(int) % _SECTORS, minlength=_SECTORS
    )
    share = (there[inside] > 0).mean() if inside.any() else 0.0
    if inside.mean() < _INSIDE or share < _DRAWN:
        seen = f"drawn along {share:.0%} of its ellipse" if share < _DRAWN else "for the greater part outside the image"
        raise InputError(f"annotation '{name}' is {seen}, neither an ellipse nor a closed outline; draw it again")
    if share < 1 - 2 / _SECTORS:
        note(f"outline is open along {1 - share:.0%} of its ellipse, closed by the fit")
    return _inside(ellipse, drawn.shape)


def _inside(ellipse: Ellipse, shape: tuple[int, int]) -> np.ndarray:
    rows, columns = np.indices(shape, sparse=True)
    u, v = ellipse.frame(columns, rows)
    return (u**2 + v**2 <= 1).astype(np.uint8)


def _to_the_middle(filled: np.ndarray, hole: np.ndarray) -> np.ndarray:
    """The pixels that are no farther from what a line encloses than from what lies around it."""
    inwards, outwards = (ndimage.distance_transform_edt(region) for region in (~hole, filled))
    return (filled & (inwards <= outwards)).astype(np.uint8)


def _is_region(filled: np.ndarray) -> bool:
    """Whether a bool HxW drawing encloses something: compact, and no bare line."""
    from skimage.morphology import convex_hull_image

    if not ndimage.binary_erosion(filled, iterations=_STROKE, border_value=1).any():
        return False
    return filled.sum() >= _SOLID * convex_hull_image(filled).sum()


def fit_ellipse(line: np.ndarray) -> Ellipse | None:
    """The least-squares ellipse through the pixels of a bool HxW line, or None where there is none.

    Direct fit in its numerically stable form: Halir and Flusser, WSCG 1998.
    """
    from skimage.measure import EllipseModel

    rows, columns = np.nonzero(line)
    model = EllipseModel.from_estimate(np.stack([columns, rows], axis=1).astype(float)) if len(rows) > 5 else None
    # The fit of a stroke is an ellipse without width.
    if not model or min(model.axis_lengths) < 1:
        return None
    return Ellipse(*map(float, (*model.center, *model.axis_lengths, model.theta)))


def _distance(ellipse: Ellipse, line: np.ndarray) -> float:
    """Largest distance of a line pixel from the ellipse, to first order, in pixels."""
    rows, columns = np.nonzero(line)
    u, v = ellipse.frame(columns, rows)
    gradient = 2 * np.hypot(u / ellipse.a, v / ellipse.b)
    return float(np.max(np.abs(u**2 + v**2 - 1) / np.maximum(gradient, 1e-9)))


def _case_id(name: str) -> str:
    return stem(name).removesuffix("_Annotation")
