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

from pipeline.cohorts.source import Files, Source, by_id, case_table, positive, stem, suffix
from pipeline.imaging.decoding import decode_grey
from pipeline.imaging.ellipse import ellipse_perimeter
from pipeline.run.errors import InputError

CLASSES = ("background", "head")
decode_image = decode_grey

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
    return fill_outline(decode_grey(data, name), name)


def _sizes(row: dict[str, str], name: str) -> dict:
    columns = {"pixel_mm": _PIXEL, "hc_mm": _CIRCUMFERENCE}
    return {
        field: positive(row[column], column, row[_FILE], name) for field, column in columns.items() if column in row
    }


def fill_outline(outline: np.ndarray, name: str) -> np.ndarray:
    """uint8 HxW, 1 inside the head, from the outline (uint8 HxW, line at 128 and above).

    Raises:
        InputError: no outline, or one that is neither an ellipse nor closed.
    """
    line = outline >= 128
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
    rows, columns = np.nonzero(line)
    if len(rows) < 6:
        return None
    x0, y0 = columns.mean(), rows.mean()
    scale = max(columns.std(), rows.std())
    x, y = (columns - x0) / scale, (rows - y0) / scale
    quadratic, linear = np.stack([x * x, x * y, y * y]), np.stack([x, y, np.ones_like(x)])
    try:
        reduce = -np.linalg.solve(linear @ linear.T, linear @ quadratic.T)
        scatter = quadratic @ quadratic.T + quadratic @ linear.T @ reduce
        _, vectors = np.linalg.eig(np.array([scatter[2] / 2, -scatter[1], scatter[0] / 2]))
        vectors = vectors.real
        chosen = vectors[:, np.argmax(4 * vectors[0] * vectors[2] - vectors[1] ** 2)]
        (a, b, c), (d, e, f) = chosen, reduce @ chosen
        shape = np.array([[a, b / 2], [b / 2, c]])
        centre = np.linalg.solve(-2 * shape, [d, e])
    except np.linalg.LinAlgError:
        return None
    values, axes = np.linalg.eigh(shape)
    squares = -(f + centre @ [d, e] / 2) / values
    if not (np.isfinite(squares).all() and (squares > 0).all()):
        return None
    semi = np.sqrt(squares) * scale
    angle = math.atan2(axes[1, 0], axes[0, 0])
    return Ellipse(centre[0] * scale + x0, centre[1] * scale + y0, float(semi[0]), float(semi[1]), angle)


def _distance(ellipse: Ellipse, line: np.ndarray) -> float:
    """Largest distance of a line pixel from the ellipse, to first order, in pixels."""
    rows, columns = np.nonzero(line)
    u, v = ellipse.frame(columns, rows)
    gradient = 2 * np.hypot(u / ellipse.a, v / ellipse.b)
    return float(np.max(np.abs(u**2 + v**2 - 1) / np.maximum(gradient, 1e-9)))


def _case_id(name: str) -> str:
    return stem(name).removesuffix("_Annotation")
