"""Masks and measurements for a folder of images, from a trained segmenter and nothing else; no DVC, no parameters file.

    python -m pipeline.tools.segment --model models/segmenter/sam-40-0-real --images my_images --out my_masks

writes, at each image's own size, ``masks/`` (class indices) and ``overlays/`` (contours), and ``measurements.csv``, in
millimetres too where the pixel size is known: from the options below, else from the file. Images are PNG, BMP, TIFF,
JPEG, DICOM (.dcm), MHA, NRRD or NIfTI; more than 8 bits per channel need a window. Files in subfolders and of other
kinds are passed over and named. An image that fails has its reason in the column ``error``, and the exit status is 1;
a circumference that no head has is marked in the column ``warning``. A segmenter of symphysis and head has a row for
both, with angle of progression and head-symphysis distances, which are drawn too; why there is no angle is in
``error``, and the exit status is 1, as with ``pipeline.tools.measure``. Mirrored images (``--head-side left``) are
turned for the network, and their masks turned back. Ended early, it leaves nothing.
"""

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path

from pipeline.data.tables import write_table
from pipeline.decoding.file_names import IMAGE_SUFFIXES, list_files, split_suffix
from pipeline.run import files
from pipeline.run.errors import InputError
from pipeline.run.outputs import written_whole
from pipeline.tools import command, pixel_sizes
from pipeline.tools.measurements import HEAD_COLUMNS, PAIR_COLUMNS, head_cells, pair_cells
from pipeline.tools.pixel_sizes import choose_pixel_size

log = logging.getLogger("pipeline.segment")
COLUMNS = ("file", "structure", "area_px", "area_share", *HEAD_COLUMNS, "warning", "error")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", type=Path, required=True, help="folder of a trained segmenter")
    parser.add_argument("--base", type=Path, help="the SAM it started from (default: models/base/<its name>)")
    parser.add_argument("--images", type=Path, required=True, help="folder of images")
    parser.add_argument("--out", type=command.new_folder, required=True, help="folder to write, new or empty")
    pixel_sizes.add_arguments(parser)
    command.add_head_side(parser)
    command.add_window(parser)
    command.add_compute(parser)


def run(args: argparse.Namespace) -> int:
    """Write masks, overlays and the table; return the exit status, 1 where an image failed or has no angle.

    Raises:
        InputError: no images, two of one name, no model, a window that is none, or bad pixel sizes.
    """
    command.check_window(args.window)
    paths = find_images(args.images)
    given = pixel_sizes.given(args, paths)

    import numpy as np
    from tqdm import tqdm

    from pipeline.data.case import Case
    from pipeline.data.structures import from_json
    from pipeline.data.writer import encode_png
    from pipeline.decoding.decode import decode_image
    from pipeline.imaging.contact_sheet import with_contour
    from pipeline.networks.kinds import kind_of
    from pipeline.networks.segmenter import load_segmenter
    from pipeline.run.compute import setup
    from pipeline.tasks.segmentation.biometry.progression import measure_progression
    from pipeline.tasks.segmentation.inference import predict_native
    from pipeline.tasks.segmentation.pair import pair_of
    from pipeline.tasks.segmentation.progression_drawing import draw_progression

    device = setup(args)
    network, config = load_segmenter(kind_of(args.model), args.model, device, args.base)
    structures = from_json(config["structures"])
    pair = pair_of(structures)
    mirrored = pair is not None and args.head_side == "left"
    table, failed, unmeasured = [], 0, 0
    with written_whole(args.out) as out:
        for stem, path in tqdm(paths.items(), desc="images", unit="image", mininterval=5, disable=None):
            pictures = {}
            # One at a time: a mask then does not depend on what else lies in the folder.
            try:
                image, said = decode_image(path.read_bytes(), path.name, args.window)
                pixel_mm = choose_pixel_size(given.get(stem), said, path.name)
                # The network was trained on unmirrored images alone: handedness is part of what it has learnt.
                seen = np.ascontiguousarray(image[:, ::-1]) if mirrored else image
                (mask,) = predict_native(network, [Case(stem, "", "", seen, None)], config["image_size"], device)
                mask = np.ascontiguousarray(mask[:, ::-1]) if mirrored else mask
                rows, overlay = measure(mask, structures, pixel_mm), with_contour(image, mask, height=len(mask))
                if pair is not None:
                    progression = measure_progression(mask == pair.symphysis, mask == pair.head, args.head_side)
                    rows.append(pair_row(progression, pixel_mm))
                    overlay = draw_progression(overlay, progression)
                pictures = {"masks": mask, "overlays": overlay}
            # Decoders raise all kinds, and no image may stop the others.
            except Exception as error:
                rows = [{"error": command.reason(error, path)}]
                failed += 1
                log.warning("%s: %s", path.name, rows[0]["error"])
            for kind, pixels in pictures.items():
                files.write_bytes(out / kind / f"{stem}.png", encode_png(pixels))
            for row in rows:
                if row.get("warning"):
                    log.warning("%s: %s", path.name, row["warning"])
            if pictures and (lost := rows[-1].get("error")):
                log.warning("%s: %s", path.name, lost)
                unmeasured += 1
            table += [{"file": path.name} | row for row in rows]
        columns = COLUMNS if pair is None else (*COLUMNS[:-2], *PAIR_COLUMNS, *COLUMNS[-2:])
        write_table(out / "measurements.csv", table, columns)
    log.info("%d of %d images segmented, in %s; %d failed", len(paths) - failed, len(paths), args.out, failed)
    if unmeasured:
        log.info("%d of them have no angle of progression", unmeasured)
    return 1 if failed or unmeasured else 0


def find_images(folder: Path) -> dict[str, Path]:
    """The images directly in a folder by name without suffix; what is passed over is named in a warning.

    Raises:
        InputError: no image there, or two whose masks would have one name.
    """
    found = list_files(folder, IMAGE_SUFFIXES, becomes="mask")
    if not found:
        raise InputError(f"{folder}: no images there; put PNG, BMP, TIFF, JPEG, DICOM, MHA, NRRD or NIfTI images in it")
    return {split_suffix(path.name)[0]: path for path in found}


def measure(mask, structures: Sequence, pixel_mm: float | None) -> list[dict]:
    """A row per structure of a class map, uint8 (H, W): area in pixels and as a share of the image.

    The structure of role ``head`` has a circumference too, in pixels and, with the edge of a pixel ``pixel_mm``, in
    millimetres, with a warning where no head has it.
    """
    rows = []
    for index, structure in enumerate(structures, start=1):
        region = mask == index
        row = {"structure": structure.name, "area_px": int(region.sum()), "area_share": round(float(region.mean()), 6)}
        rows.append(row | (head_cells(region, pixel_mm) if structure.role == "head" else {}))
    return rows


def pair_row(progression, pixel_mm: float | None) -> dict:
    """The row of symphysis and head; what to know of the angle in ``warning``, why there is none in ``error``."""
    from pipeline.tasks.metrics import PAIR

    row = {"structure": PAIR, **pair_cells(progression, pixel_mm), "warning": "; ".join(progression.notes)}
    return row if progression.failure is None else row | {"error": str(progression.failure)}


if __name__ == "__main__":
    command.main(add_arguments, run)
