"""Angle of progression and head-symphysis distance for a folder of masks; no DVC, no parameters file.

    python -m pipeline.tools.measure --masks my_masks --images my_images --out my_measurements

writes ``measurements.csv``, a row a mask, and ``overlays/`` with axis, tangent and angle drawn, on the image of the
same name where there is one. Masks hold 1 symphysis and 2 head (PSFHS) or 7 and 8 (IUGC), or what ``--values`` says. A
mask that cannot be read or measured has its reason in the column ``error`` and stops nothing; the exit status is then
1. What to know of a measurement is in the column ``warning``. For images without masks take ``pipeline.tools.segment``.
"""

import argparse
import logging
from pathlib import Path

from pipeline.data.tables import write_table
from pipeline.decoding.file_names import IMAGE_SUFFIXES, LOSSY_SUFFIXES, MASK_SUFFIXES, list_files, split_suffix
from pipeline.run import files
from pipeline.run.errors import InputError
from pipeline.run.outputs import written_whole
from pipeline.tools import command, pixel_sizes
from pipeline.tools.measurements import HEAD_COLUMNS, PAIR_COLUMNS, head_cells, pair_cells

log = logging.getLogger("pipeline.measure")
COLUMNS = ("file", *PAIR_COLUMNS, *HEAD_COLUMNS, "warning", "error")
CONVENTIONS = {(1, 2): "PSFHS", (7, 8): "IUGC"}
"""Values of symphysis and head → whose they are."""
OVERLAY_PX = 512
"""Overlays are at least this high."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--masks", type=Path, required=True, help="folder of masks")
    parser.add_argument("--images", type=Path, help="folder of the images, named as the masks, for the overlays")
    parser.add_argument("--out", type=command.new_folder, required=True, help="folder to write, new or empty")
    about = "values of symphysis and head in the masks (default: 1 2, or 7 8 where a mask holds these)"
    value, names = command.between(int, 1, 255), ("SYMPHYSIS", "HEAD")
    parser.add_argument("--values", type=value, nargs=2, metavar=names, help=about)
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

    from tqdm import tqdm

    from pipeline.data.writer import encode_png

    table, failed = [], 0
    with written_whole(args.out) as out:
        for stem, path in tqdm(paths.items(), desc="masks", unit="mask", mininterval=5, disable=None):
            try:
                row, overlay = measured(path, images.get(stem), sizes.get(stem), args)
                files.write_bytes(out / "overlays" / f"{stem}.png", encode_png(overlay))
            # Decoders raise all kinds, and no mask may stop the others.
            except Exception as error:
                row = {"error": command.reason(error, path)}
            for kind in ("error", "warning"):
                if row.get(kind):
                    log.warning("%s: %s", path.name, row[kind])
            failed += bool(row.get("error"))
            table.append({"file": path.name} | row)
        write_table(out / "measurements.csv", table, COLUMNS)
    log.info("%d of %d masks measured, in %s; %d failed", len(paths) - failed, len(paths), args.out, failed)
    return 1 if failed else 0


def measured(path: Path, image_path: Path | None, pixel_mm: float | None, args: argparse.Namespace) -> tuple:
    """The row of a mask, and its overlay, RGB uint8 (H, W, 3).

    Raises:
        InputError: the mask or the image cannot be read, has other values, or they differ in size.
    """
    import numpy as np

    from pipeline.decoding.decode import decode_image, decode_mask
    from pipeline.imaging.contact_sheet import with_contour
    from pipeline.tasks.segmentation.biometry.progression import measure_progression
    from pipeline.tasks.segmentation.progression_drawing import draw_progression

    stored = decode_mask(path.read_bytes(), path.name)
    symphysis, head = convention(stored, path.name, args.values)
    mask = np.where(stored == symphysis, 1, np.where(stored == head, 2, 0)).astype(np.uint8)
    image = np.zeros_like(mask)
    if image_path is not None:
        image = decode_image(image_path.read_bytes(), image_path.name, args.window).pixels
        if image.shape != mask.shape:
            here, there = ("{1} x {0}".format(*one.shape) for one in (mask, image))
            raise InputError(f"mask '{path.name}' has {here} pixels, its image {there}; export both at the same size")
    progression = measure_progression(mask == 1, mask == 2, args.head_side)
    cells = head_cells(mask == 2, pixel_mm)
    warnings = [*progression.notes, *filter(None, [cells.pop("warning", None)])]
    row = pair_cells(progression, pixel_mm) | cells | {"warning": "; ".join(warnings)}
    if progression.failure is not None:
        row["error"] = str(progression.failure)
    height = max(OVERLAY_PX, len(mask))
    return row, draw_progression(with_contour(image, mask, height), progression, height / len(mask))


def convention(mask, name: str, values: tuple[int, int] | None) -> tuple[int, int]:
    """The values of symphysis and head in a mask, uint8 (H, W).

    Raises:
        InputError: the mask holds another value.
    """
    import numpy as np

    present = set(np.unique(mask).tolist()) - {0}
    known = [tuple(values)] if values else list(CONVENTIONS)
    for pair in known:
        if present <= set(pair):
            return pair
    if not values and 3 in present:
        raise InputError(
            f"mask '{name}' holds the value 3, the mark of masks that were added up where symphysis (1) and head (2) "
            "overlap; give every pixel one structure"
        )
    asked = " or ".join(f"{one} (symphysis) and {other} (head)" for one, other in known)
    held = ", ".join(map(str, sorted(present)))
    raise InputError(f"mask '{name}' holds the values {held}; expected are {asked}; name them with --values")


if __name__ == "__main__":
    command.main(add_arguments, run)
