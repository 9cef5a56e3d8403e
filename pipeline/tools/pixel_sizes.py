"""The pixel sizes that a command is given: one for all files, or a table of them."""

import argparse
import logging
from collections.abc import Mapping
from pathlib import Path

from pipeline.cohorts.bounds import BOUNDS, PIXEL_SIZES_AGREE
from pipeline.data.tables import positive, read_table
from pipeline.decoding.file_names import IMAGE_SUFFIXES, split_suffix
from pipeline.run.errors import InputError

log = logging.getLogger("pipeline.pixel_sizes")
NAME_COLUMNS, SIZE_COLUMNS = ("filename", "file", "id"), ("pixel size(mm)", "pixel_mm")
PIXEL_MM = BOUNDS["pixel size"].refuse
"""Plausible edges of a pixel, in millimetres."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """``--pixel-mm`` and ``--pixel-sizes``, which :func:`given` takes."""
    scale = parser.add_mutually_exclusive_group()
    scale.add_argument("--pixel-mm", help="edge of a pixel of every image, in millimetres")
    scale.add_argument("--pixel-sizes", type=Path, help="CSV of file names and millimetres per pixel, such as HC18's")


def given(args: argparse.Namespace, paths: Mapping[str, Path]) -> dict[str, float]:
    """Millimetres per pixel by file name without suffix, of those of ``paths`` that have one.

    Raises:
        InputError: a bad table, or a size that no pixel has.
    """
    if args.pixel_mm is not None:
        return dict.fromkeys(paths, plausible(positive(args.pixel_mm, "--pixel-mm"), "--pixel-mm"))
    sizes = read_pixel_sizes(args.pixel_sizes) if args.pixel_sizes else {}
    if args.pixel_sizes and (unknown := [path.name for stem, path in paths.items() if stem not in sizes]):
        log.warning("%s: no pixel size for %d images, e.g. '%s'", args.pixel_sizes, len(unknown), unknown[0])
    return sizes


def read_pixel_sizes(path: Path) -> dict[str, float]:
    """Millimetres per pixel by file name without suffix.

    Raises:
        InputError: no such CSV, a row without name or size, a size that no pixel has, or rows that differ.
    """
    sizes: dict[str, float] = {}
    known = (*NAME_COLUMNS, *SIZE_COLUMNS)
    for row in read_table(path, remedy="name a table of pixel sizes", strip=True, optional=known):
        name, size = (next(filter(row.get, keys), None) for keys in (NAME_COLUMNS, SIZE_COLUMNS))
        if name is None or size is None:
            lacking = "'filename'/'file'/'id' and 'pixel size(mm)'/'pixel_mm'; add the column, or fill in the row"
            raise InputError(f"{path}: row {row.number} below the header lacks {lacking}")
        file = row[name]
        stem, suffix = split_suffix(file)
        stem = stem if suffix in IMAGE_SUFFIXES else file
        number = plausible(row.positive(size), row.place(size))
        if sizes.setdefault(stem, number) != number:
            raise InputError(f"{path}: two rows for '{file}' differ; keep one of them")
    return sizes


def plausible(pixel_mm: float, what: str) -> float:
    """The pixel size; ``what`` is what the message calls it.

    Raises:
        InputError: an ultrasound image has no such pixels.
    """
    low, high = PIXEL_MM
    if not low <= pixel_mm <= high:
        raise InputError(f"{what} is {pixel_mm:g}; the edge of a pixel must be from {low} to {high} mm")
    return pixel_mm


def choose_pixel_size(given: float | None, said: float | None, name: str) -> float | None:
    """The pixel size that is given, else the one that the file says.

    Raises:
        InputError: they differ, or the file's own is not plausible.
    """
    if given is not None and said is not None and abs(given - said) > PIXEL_SIZES_AGREE * said:
        raise InputError(
            f"file '{name}' says its pixels are {said:g} mm, and {given:g} mm is given; correct one of them"
        )
    return given if given is not None or said is None else plausible(said, f"file '{name}': its pixel size")
