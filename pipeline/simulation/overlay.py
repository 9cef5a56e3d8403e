"""What devices burn into the picture: text, calipers, grey bar, ruler, the black boxes that hide names."""

import numpy as np
from PIL import Image, ImageDraw, ImageFont

OVERSAMPLING = 2


def burn_text(
    image: np.ndarray, lines: tuple[str, ...], right: float, top: float, grey: int, align_right: bool = True
) -> None:
    """Draw small lines of text in place; ``right`` (left edge if not aligned) and ``top`` in frame units."""
    height, width = image.shape
    layer = Image.new("L", (OVERSAMPLING * width, OVERSAMPLING * height))
    draw, font = ImageDraw.Draw(layer), ImageFont.load_default_imagefont()
    for row, line in enumerate(lines):
        x = right * width * OVERSAMPLING - (draw.textlength(line, font=font) if align_right else 0)
        draw.text((x, top * height * OVERSAMPLING + 12 * row), line, fill=grey, font=font)
    np.maximum(image, np.asarray(layer.resize((width, height), Image.Resampling.BOX)), out=image)


def grey_bar(image: np.ndarray, left: int, top: int, width: int, height: int) -> None:
    """Grey scale of the display, white on top, in place."""
    image[top : top + height, left : left + width] = np.linspace(255, 0, height).astype(np.uint8)[:, None]


def black_box(image: np.ndarray, left: float, top: float, right: float, bottom: float) -> None:
    """Blank a rectangle given in units of width and height, in place."""
    height, width = image.shape
    image[round(top * height) : round(bottom * height), round(left * width) : round(right * width)] = 0


def ruler(image: np.ndarray, column: int, step: float, first: float, grey: int) -> None:
    """Depth marks every ``step`` rows from row ``first``, in place; every fifth is wide."""
    rows = np.arange(first, image.shape[0] - 1, step)
    for count, row in enumerate(rows):
        wide = 4 if count % 5 == 0 else 2
        image[int(row), column : column + wide] = grey


def calipers(image: np.ndarray, points: np.ndarray, grey: int, arm: int = 3) -> None:
    """Plus signs at pixel positions (n, 2) as (column, row), in place; those outside the frame are left out."""
    height, width = image.shape
    for column, row in np.round(points).astype(int):
        if arm <= column < width - arm and arm <= row < height - arm:
            image[row, column - arm : column + arm + 1] = grey
            image[row - arm : row + arm + 1, column] = grey


def dotted_curve(image: np.ndarray, points: np.ndarray, grey: int) -> None:
    """Single-pixel dots at pixel positions (n, 2) as (column, row), in place, inside the frame."""
    height, width = image.shape
    column, row = np.round(points).astype(int).T
    keep = (column >= 0) & (column < width) & (row >= 0) & (row < height)
    image[row[keep], column[keep]] = grey
