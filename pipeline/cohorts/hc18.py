"""HC18: fetal head at 800x540, the annotation an elliptic outline. Zenodo 1327317, CC BY 4.0.

van den Heuvel et al., "Automated measurement of fetal head circumference using 2D ultrasound images", PLOS ONE 2018.

The annotation is an ellipse drawn as a thin line (about three pixels wide), and the published circumference is that of
the line's centre: filled with the line the head is 0.6 % too large, without it 0.6 % too small. So the mask is the
ellipse fitted to the line, i.e. a pixel belongs to the head when its centre lies inside the line's centre. The fit also
closes the outlines that the image border cuts, where filling holes returns the bare line.
"""

import math
import re
from typing import NamedTuple

import numpy as np
from scipy import ndimage

from pipeline.cohorts.source import Files, Source, by_id, case_table, stem, suffix
from pipeline.data.tables import Row
from pipeline.imaging.decoding import decode_image
from pipeline.imaging.ellipse import ellipse_perimeter
from pipeline.run.errors import InputError

CLASSES = ("background", "head")

_NAME = re.compile(r"(\d+)_\d*HC(_Annotation)?")
_CSV_ENDS = ("pixel_size_and_hc.csv", "pixel_size.csv")
_FILE, _PIXEL, _CIRCUMFERENCE = "filename", "pixel size(mm)", "head circumference (mm)"
# Pixels. Half the line's width is 1.5 (the largest distance found in 400 annotations); an annotation further than
# twice that from its ellipse was not drawn as one.
_TOLERANCE = 3.0


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
    measured = case_table(source, tables, images, required, lambda row: stem(row[_FILE]), _sizes)
    origin = {case_id: {"patient": _NAME.fullmatch(case_id).group(1), "country": "NLD"} for case_id in images}
    return Files(images, masks, {case_id: origin[case_id] | measured.get(case_id, {}) for case_id in images})


def decode_mask(data: bytes, name: str) -> np.ndarray:
    return fill_annotation(decode_image(data, name).pixels, name)


def _sizes(row: Row) -> dict:
    columns = {"pixel_mm": _PIXEL, "hc_mm": _CIRCUMFERENCE}
    return {field: row.positive(column) for field, column in columns.items() if column in row}


def fill_annotation(annotation: np.ndarray, name: str) -> np.ndarray:
    """uint8 HxW, 1 inside the head, from the annotation (uint8 HxW, line at 128 and above).

    Raises:
        InputError: no line, or one that is neither an ellipse nor closed.
    """
    line = annotation >= 128
    ellipse = fit_ellipse(line)
    if ellipse is not None and _distance(ellipse, line) <= _TOLERANCE:
        rows, columns = np.indices(line.shape, sparse=True)
        u, v = ellipse.frame(columns, rows)
        return (u**2 + v**2 <= 1).astype(np.uint8)
    filled = ndimage.binary_fill_holes(line)
    if not (filled & ~line).any():
        raise InputError(f"annotation '{name}' is neither an ellipse nor a closed outline; draw it again")
    return filled.astype(np.uint8)


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
