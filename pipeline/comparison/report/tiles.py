"""Small pictures of the report as PNG whose bytes repeat: masks, samples, images with outlines."""

import io
from collections.abc import Sequence

import numpy as np
from PIL import Image

from pipeline.imaging.outline import outline

SAMPLE_HEIGHT, CASE_HEIGHT = 110, 190
REFERENCE, BASELINE, PREDICTION = "#ffc400", "#ff6ad5", "#19d3ff"
"""Colours of outlines: annotated, predicted by the baseline arm, predicted by another."""
_GREYS = 248
"""Grey levels of a tile; the palette's remaining places are for colours."""


def tile(image: np.ndarray, height: int, contours: Sequence[tuple[np.ndarray, str]] = ()) -> bytes:
    """PNG of a grey image enlarged or reduced to ``height``, with the outlines of class maps in colours over it.

    Args:
        image: uint8 (H, W).
        contours: (class map uint8 (H, W), colour) pairs, later ones on top.
    """
    size = (max(1, round(image.shape[1] * height / image.shape[0])), height)
    grey = np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BICUBIC))
    indices = np.round(grey * ((_GREYS - 1) / 255)).astype(np.uint8)
    for place, (class_map, _) in enumerate(contours):
        large = np.asarray(Image.fromarray(class_map).resize(size, Image.Resampling.NEAREST))
        indices[outline(large)] = _GREYS + place
    return _palette_png(indices, [colour for _, colour in contours])


def mask_tile(mask: np.ndarray, height: int) -> bytes:
    """PNG of a class map: background dark, structures in light greys."""
    levels = np.linspace(25, 225, int(mask.max()) + 1).astype(np.uint8)
    size = (max(1, round(mask.shape[1] * height / mask.shape[0])), height)
    large = np.asarray(Image.fromarray(mask).resize(size, Image.Resampling.NEAREST))
    return _palette_png(np.round(levels[large] * ((_GREYS - 1) / 255)).astype(np.uint8), [])


def _palette_png(indices: np.ndarray, colours: Sequence[str]) -> bytes:
    """A palette image is a third of an RGB one, and the page carries dozens."""
    ramp = [level for step in np.linspace(0, 255, _GREYS).round().astype(int) for level in (step, step, step)]
    extra = [int(colour[i : i + 2], 16) for colour in colours for i in (1, 3, 5)]
    picture = Image.fromarray(indices, mode="P")
    picture.putpalette([int(value) for value in ramp] + extra)
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()
