"""Contact sheets: people look before they read."""

from collections.abc import Sequence

import numpy as np
from PIL import Image

from pipeline.imaging.outline import outline

CONTOUR_COLOURS = ((255, 196, 0), (0, 200, 255), (255, 80, 160), (120, 255, 120))


def with_contour(image: np.ndarray, mask: np.ndarray | None, height: int) -> np.ndarray:
    """RGB uint8 (height, W, 3): the image enlarged or reduced to ``height``, each structure outlined in a colour."""
    width = max(1, round(image.shape[1] * height / image.shape[0]))
    grey = np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BICUBIC))
    rgb = np.repeat(grey[:, :, None], 3, axis=2).copy()
    if mask is not None:
        large = np.asarray(Image.fromarray(mask).resize((width, height), Image.Resampling.NEAREST))
        for index in range(1, int(large.max(initial=0)) + 1):
            edge = outline(large == index)
            # Half transparent: the skull lies right under the contour and must stay visible.
            rgb[edge] = (rgb[edge] + np.array(CONTOUR_COLOURS[(index - 1) % len(CONTOUR_COLOURS)])) // 2
    return rgb


def contact_sheet(tiles: Sequence[np.ndarray], columns: int, gap: int = 4) -> np.ndarray:
    """RGB uint8 sheet of tiles (each H x W x 3), ``columns`` in a row."""
    bands = []
    for start in range(0, len(tiles), columns):
        row = tiles[start : start + columns]
        height = max(tile.shape[0] for tile in row)
        bands.append(np.hstack([_framed(tile, gap, height - tile.shape[0], gap, 0) for tile in row]))
    width = max(band.shape[1] for band in bands) + gap
    return _framed(np.vstack([_framed(band, 0, 0, 0, width - band.shape[1]) for band in bands]), 0, gap, 0, 0)


def _framed(tile: np.ndarray, top: int, bottom: int, left: int, right: int) -> np.ndarray:
    return np.pad(tile, ((top, bottom), (left, right), (0, 0)), constant_values=24)


def evenly_spaced(items: Sequence, count: int) -> list:
    """Up to ``count`` items spread over the sequence."""
    return [items[int(i)] for i in np.linspace(0, len(items) - 1, min(count, len(items)))]
