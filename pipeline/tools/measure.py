"""Angle of progression and head-symphysis distance for a folder of masks; no DVC, no parameters file.

    python -m pipeline.tools.measure --masks my_masks --images my_images --out my_measurements

writes ``measurements.csv``, a row a mask, and ``overlays/`` with axis, tangent and angle drawn, on the image of the
same name where there is one. Masks hold 1 symphysis and 2 head (PSFHS) or 7 and 8 (IUGC), or what ``--values`` says.
Millimetres are there where the pixel size is known: from the options, else from the file. ``--geometry`` measures as a
challenge does, without lines in the overlays. A mask that cannot be read or measured has its reason in the column
``error`` and stops nothing; the exit status is then 1. What to know of a measurement, or of an image that could not be
shown, is in the column ``warning``. For images without masks take ``pipeline.tools.segment``.
"""

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path

from pipeline.data.tables import write_table
from pipeline.decoding.file_names import IMAGE_SUFFIXES, LOSSY_SUFFIXES, MASK_SUFFIXES, list_files, split_suffix
from pipeline.run.errors import InputError
from pipeline.run.outputs import written_whole
from pipeline.tools import command, pixel_sizes
from pipeline.tools.geometries import GEOMETRIES, measure_in
from pipeline.tools.measurements import HEAD_COLUMNS, PAIR_COLUMNS, head_cells
from pipeline.tools.pixel_sizes import choose_pixel_size
from pipeline.tools.tabulated import failures, tabulated

log = logging.getLogger("pipeline.measure")
COLUMNS = ("file", *PAIR_COLUMNS, *HEAD_COLUMNS, "warning", "error")
OVERLAY_PX = 512
"""The longer side of an overlay has at least so many pixels."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--masks", type=Path, required=True, help="folder of masks")
    parser.add_argument("--images", type=Path, help="folder of the images, named as the masks, for the overlays")
    parser.add_argument("--out", type=command.new_folder, required=True, help="folder to write, new or empty")
    about = "values of symphysis and head in the masks (default: 1 2, or 7 8 where a mask holds these)"
    value, names = command.between(int, 1, 255), ("SYMPHYSIS", "HEAD")
    parser.add_argument("--values", type=value, nargs=2, metavar=names, help=about)
    about = "how to measure: as this project does, as the PSFHS challenge (angle alone), or as IUGC 2024"
    parser.add_argument("--geometry", choices=GEOMETRIES, default="default", help=about)
    command.add_head_side(parser)
    pixel_sizes.add_arguments(parser)
    command.add_window(parser)


def run(args: argparse.Namespace) -> int:
    """Write the table and the overlays; return the exit status, 1 where a mask could not be measured.

    Raises:
        InputError: no masks, two of one name, equal values, a window that is none, or bad pixel sizes.
    """
    command.check_window(args.window)
    if args.values and args.values[0] == args.values[1]:
        raise InputError(f"--values is {args.values[0]} twice; symphysis and head need different values")
    found = list_files(args.masks, (*MASK_SUFFIXES, *LOSSY_SUFFIXES), becomes="overlay")
    if not found:
        raise InputError(f"{args.masks}: no masks there; put PNG, BMP, TIFF, MHA, NRRD or NIfTI masks in it")
    paths = {split_suffix(path.name)[0]: path for path in found}
    images = {}
    if args.images:
        images = {split_suffix(path.name)[0]: path for path in list_files(args.images, IMAGE_SUFFIXES)}
        if lacking := [path.name for stem, path in paths.items() if stem not in images]:
            log.warning("%s: no image for %d masks, e.g. '%s'", args.images, len(lacking), lacking[0])
    sizes = pixel_sizes.given(args, paths)

    with written_whole(args.out) as out:
        table = tabulated(
            paths, lambda stem, path: measured(path, images.get(stem), sizes.get(stem), args), out, "mask", log
        )
        write_table(out / "measurements.csv", table, COLUMNS)
    failed = failures(table)
    log.info("%d of %d masks measured, in %s; %d failed", len(paths) - failed, len(paths), args.out, failed)
    return 1 if failed else 0


def measured(path: Path, image_path: Path | None, given: float | None, args: argparse.Namespace) -> tuple:
    """The row of a mask, and its overlay, RGB uint8 (H, W, 3); on black where its image cannot be used, with why.

    Args:
        given: edge of a pixel in millimetres, or None; the file's own is taken then.

    Raises:
        InputError: the mask cannot be read, has other values, or pixels that are no squares or not those given.
    """
    from pipeline.decoding.decode import decode_sized_mask

    stored, said = decode_sized_mask(path.read_bytes(), path.name)
    pixel_mm = choose_pixel_size(given, said, path.name)
    mask = class_map(stored, path.name, args.values)
    found = measure_in(args.geometry, mask, args.head_side, pixel_mm)
    cells = head_cells(mask == 2, pixel_mm)
    background, lost = shown(image_path, mask.shape, args.window)
    warnings = [*found.notes, *filter(None, [cells.pop("warning", None), lost])]
    row = found.cells | cells | {"warning": "; ".join(warnings)}
    if found.failure is not None:
        row["error"] = found.failure
    return row, overlay(background, mask, found.progression)


def shown(path: Path | None, shape: tuple[int, int], window) -> tuple:
    """What an overlay is drawn on, uint8 (H, W): the image, or black, and why it is black where there is an image."""
    import numpy as np

    from pipeline.decoding.decode import decode_image

    black = np.zeros(shape, np.uint8)
    if path is None:
        return black, None
    try:
        image = decode_image(path.read_bytes(), path.name, window).pixels
    # Decoders raise all kinds, and a picture may not cost a measurement.
    except Exception as error:
        return black, f"overlay without its image: {command.reason(error, path)}"
    if image.shape != shape:
        here, there = ("{1} x {0}".format(*size) for size in (shape, image.shape))
        return black, f"overlay without its image: the mask has {here} pixels, the image {there}"
    return image, None


def overlay(image, mask, progression):
    """RGB uint8 (H, W, 3): contours and the measurement, with a longer side of ``OVERLAY_PX`` or more."""
    from pipeline.imaging.contact_sheet import with_contour
    from pipeline.tasks.segmentation.progression_drawing import draw_progression

    height = round(len(mask) * max(1.0, OVERLAY_PX / max(mask.shape)))
    picture = with_contour(image, mask, height)
    return picture if progression is None else draw_progression(picture, progression, height / len(mask))


def class_map(stored, name: str, values: Sequence[int] | None):
    """uint8 (H, W), 1 symphysis and 2 head, from the values of a mask.

    Args:
        values: of symphysis and head; None: 1 and 2, or those of the IUGC data.

    Raises:
        InputError: the mask holds another value.
    """
    import numpy as np

    from pipeline.cohorts.mask_labels import IUGC, from_iugc, refuse_sum

    if not values:
        stored = from_iugc(stored, name, lambda text: None)
        refuse_sum(stored, 3, name)
    symphysis, head = values or (1, 2)
    if others := set(np.unique(stored).tolist()) - {0, symphysis, head}:
        known = [(symphysis, head)] if values else [(1, 2), tuple(IUGC)]
        asked = " or ".join(f"{one} (symphysis) and {other} (head)" for one, other in known)
        held = ", ".join(map(str, sorted(others)))
        raise InputError(f"mask '{name}' holds the values {held}; expected are {asked}; name them with --values")
    return np.where(stored == symphysis, 1, np.where(stored == head, 2, 0)).astype(np.uint8)


if __name__ == "__main__":
    command.main(add_arguments, run)
