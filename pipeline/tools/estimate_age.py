"""Age for a folder of images, from a fitted model and the networks whose masks it reads; no DVC, no parameters file.

    python -m pipeline.tools.estimate_age --model models/age/fusion-220-0-real --networks models/cross_fit/unet-220-0 \\
        --images my_images --out my_ages

writes ``ages.csv``, a row an image: days with an interval, weeks and days, the head's circumference; and ``overlays/``,
the contour of the mask that was measured. Read the column ``what``: a model that learnt ages implied by head
circumferences gives such ages, and no gestational age. Pixel sizes are those of the options, else of the files. An
image without an estimate has its reason in the column ``error`` and stops nothing; the exit status is then 1. What to
know of an estimate is in the column ``warning``. Nothing here is fit for decisions about patients.
"""

import argparse
import logging
from pathlib import Path

from pipeline.data.tables import write_table
from pipeline.run.outputs import written_whole
from pipeline.tools import command, pixel_sizes
from pipeline.tools.measurements import HEAD_COLUMNS, head_cells
from pipeline.tools.pixel_sizes import choose_pixel_size
from pipeline.tools.segment import find_images
from pipeline.tools.tabulated import failures, tabulated

log = logging.getLogger("pipeline.estimate_age")
COLUMNS = ("file", "age_days", "low_days", "high_days", "age_weeks", "what", *HEAD_COLUMNS, "warning", "error")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", type=Path, required=True, help="folder of a fitted model, under models/age")
    parser.add_argument("--networks", type=Path, required=True, help="folder of its networks, under models/cross_fit")
    parser.add_argument("--base", type=Path, help="the SAM they started from (default: models/base/<its name>)")
    parser.add_argument("--encoder-weights", type=Path, help="file of the weights, of an encoder of timm")
    parser.add_argument("--images", type=Path, required=True, help="folder of images")
    parser.add_argument("--out", type=command.new_folder, required=True, help="folder to write, new or empty")
    pixel_sizes.add_arguments(parser)
    command.add_window(parser)
    command.add_compute(parser)


def run(args: argparse.Namespace) -> int:
    """Write the table and the overlays; return the exit status, 1 where an image has no estimate.

    Raises:
        InputError: no images, two of one name, no model or networks, a window that is none, or bad pixel sizes.
    """
    command.check_window(args.window)
    paths = find_images(args.images)
    given = pixel_sizes.given(args, paths)

    from pipeline.run.compute import setup
    from pipeline.tasks.gestational_age.asking import open_asked

    asked = open_asked(args.model, args.networks, args.base, args.encoder_weights, setup(args))
    log.warning("%s", asked.what)
    with written_whole(args.out) as out:
        table = tabulated(
            paths, lambda stem, path: estimated(asked, path, given.get(stem), args.window), out, "image", log
        )
        write_table(out / "ages.csv", [row | {"what": asked.what} for row in table], COLUMNS)
    failed = failures(table)
    log.info("%d of %d images have an age, in %s; %d have none", len(paths) - failed, len(paths), args.out, failed)
    return 1 if failed else 0


def estimated(asked, path: Path, given: float | None, window) -> tuple:
    """The row of an image, and it with the contour of its head, RGB uint8 (H, W, 3).

    Args:
        given: edge of a pixel in millimetres, or None; the file's own is taken then.
    """
    from pipeline.data.case import Case
    from pipeline.decoding.decode import decode_image
    from pipeline.imaging.contact_sheet import with_contour

    image, said = decode_image(path.read_bytes(), path.name, window)
    pixel_mm = choose_pixel_size(given, said, path.name)
    found = asked.estimate(Case(path.name, "", "", image, None, pixel_mm=pixel_mm))
    cells = head_cells(found.head, pixel_mm)
    notes = [*found.notes, *filter(None, [cells.pop("warning", None)])]
    row = cells | {"warning": "; ".join(notes)}
    if found.failure is not None:
        row["error"] = found.failure
    else:
        row |= {"age_days": round(found.days, 1), "age_weeks": in_weeks(found.days)}
        if found.limits is not None:
            row["low_days"], row["high_days"] = (round(one, 1) for one in found.limits)
    return row, with_contour(image, found.head.astype("uint8"), height=len(image))


def in_weeks(days: float) -> str:
    """Completed weeks and days, as ``24+3``."""
    weeks, rest = divmod(int(days), 7)
    return f"{weeks}+{rest}"


if __name__ == "__main__":
    command.main(add_arguments, run)
