"""Masks and measurements for a folder of images, from a trained segmenter and nothing else; no DVC, no parameters file.

    python -m pipeline.tools.segment --model models/segmenter/sam-40-0-real --images my_images --out my_masks

writes, at each image's own size, ``masks/`` (class indices) and ``overlays/`` (contours), and ``measurements.csv``, in
millimetres too where the pixel size is known: from the options below, else from the file. Images are PNG, BMP, TIFF,
JPEG, DICOM (.dcm), MHA, NRRD or NIfTI; more than 8 bits per channel need a window. Files in subfolders and of other
kinds are passed over and named. An image that fails has its reason in the column ``error``, and the exit status is 1;
a circumference that no head has is marked in the column ``warning``. Ended early, it leaves nothing.
"""

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path

from pipeline.cohorts.bounds import BOUNDS, PIXEL_SIZES_AGREE
from pipeline.data.tables import positive, read_table, write_table
from pipeline.decoding.file_names import IMAGE_SUFFIXES, list_files, split_suffix
from pipeline.run import files
from pipeline.run.errors import InputError
from pipeline.run.outputs import written_whole
from pipeline.tools import command

log = logging.getLogger("pipeline.segment")
COLUMNS = ("file", "structure", "area_px", "area_share", "circumference_px", "circumference_mm", "warning", "error")
NAME_COLUMNS, SIZE_COLUMNS = ("filename", "file", "id"), ("pixel size(mm)", "pixel_mm")
PIXEL_MM, HEAD_MM = (BOUNDS[name].refuse for name in ("pixel size", "measured circumference"))
"""Plausible edges of a pixel, and circumferences of a fetal head, in millimetres."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", type=Path, required=True, help="folder of a trained segmenter")
    parser.add_argument("--base", type=Path, help="the SAM it started from (default: models/base/<its name>)")
    parser.add_argument("--images", type=Path, required=True, help="folder of images")
    parser.add_argument("--out", type=command.new_folder, required=True, help="folder to write, new or empty")
    scale = parser.add_mutually_exclusive_group()
    scale.add_argument("--pixel-mm", help="edge of a pixel of every image, in millimetres")
    scale.add_argument("--pixel-sizes", type=Path, help="CSV of file names and millimetres per pixel, such as HC18's")
    command.add_window(parser)
    command.add_compute(parser)


def run(args: argparse.Namespace) -> int:
    """Write masks, overlays and the table; return the exit status, 1 where an image failed.

    Raises:
        InputError: no images, two of one name, no model, a window that is none, or bad pixel sizes.
    """
    command.check_window(args.window)
    paths = find_images(args.images)
    given = read_pixel_sizes(args.pixel_sizes) if args.pixel_sizes else {}
    if args.pixel_mm is not None:
        given = dict.fromkeys(paths, plausible(positive(args.pixel_mm, "--pixel-mm"), "--pixel-mm"))
    elif args.pixel_sizes and (unknown := [path.name for stem, path in paths.items() if stem not in given]):
        log.warning("%s: no pixel size for %d images, e.g. '%s'", args.pixel_sizes, len(unknown), unknown[0])

    from tqdm import tqdm

    from pipeline.data.case import Case
    from pipeline.data.structures import from_json
    from pipeline.data.writer import encode_png
    from pipeline.decoding.decode import decode_image
    from pipeline.imaging.contact_sheet import with_contour
    from pipeline.networks.kinds import kind_of
    from pipeline.networks.segmenter import load_segmenter
    from pipeline.run.compute import setup
    from pipeline.tasks.segmentation.inference import predict_native

    device = setup(args)
    network, config = load_segmenter(kind_of(args.model), args.model, device, args.base)
    structures = from_json(config["structures"])
    table, failed = [], 0
    with written_whole(args.out) as out:
        for stem, path in tqdm(paths.items(), desc="images", unit="image", mininterval=5, disable=None):
            pictures = {}
            # One at a time: a mask then does not depend on what else lies in the folder.
            try:
                image, said = decode_image(path.read_bytes(), path.name, args.window)
                pixel_mm = choose_pixel_size(given.get(stem), said, path.name)
                (mask,) = predict_native(network, [Case(stem, "", "", image, None)], config["image_size"], device)
                rows = measure(mask, structures, pixel_mm)
                pictures = {"masks": mask, "overlays": with_contour(image, mask, height=len(mask))}
            # Decoders raise all kinds, and no image may stop the others.
            except Exception as error:
                # The text of a system's error names the whole path.
                reason = getattr(error, "strerror", None) or error
                text = str(error) if isinstance(error, InputError) else f"{type(error).__name__}: {reason}"
                rows = [{"error": " ".join(text.replace(str(path), path.name).split())}]
                failed += 1
                log.warning("%s: %s", path.name, rows[0]["error"])
            for kind, pixels in pictures.items():
                files.write_bytes(out / kind / f"{stem}.png", encode_png(pixels))
            for row in rows:
                if row.get("warning"):
                    log.warning("%s: %s", path.name, row["warning"])
            table += [{"file": path.name} | row for row in rows]
        write_table(out / "measurements.csv", table, COLUMNS)
    log.info("%d of %d images segmented, in %s; %d failed", len(paths) - failed, len(paths), args.out, failed)
    return 1 if failed else 0


def find_images(folder: Path) -> dict[str, Path]:
    """The images directly in a folder by name without suffix; what is passed over is named in a warning.

    Raises:
        InputError: no image there, or two whose masks would have one name.
    """
    found = list_files(folder, IMAGE_SUFFIXES, becomes="mask")
    if not found:
        raise InputError(f"{folder}: no images there; put PNG, BMP, TIFF, JPEG, DICOM, MHA, NRRD or NIfTI images in it")
    return {split_suffix(path.name)[0]: path for path in found}


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


def measure(mask, structures: Sequence, pixel_mm: float | None) -> list[dict]:
    """A row per structure of a class map, uint8 (H, W): area in pixels and as a share of the image.

    The structure of role ``head`` has a circumference too, in pixels and, with the edge of a pixel ``pixel_mm``, in
    millimetres, with a warning where no head has it.
    """
    from pipeline.tasks.segmentation.biometry.circumference import head_circumference_px

    rows = []
    for index, structure in enumerate(structures, start=1):
        region = mask == index
        row = {"structure": structure.name, "area_px": int(region.sum()), "area_share": round(float(region.mean()), 6)}
        if structure.role == "head" and row["area_px"]:
            row["circumference_px"] = round(circumference := head_circumference_px(region), 2)
            row["circumference_mm"] = mm = round(circumference * pixel_mm, 2) if pixel_mm else None
            if mm is not None and not HEAD_MM[0] <= mm <= HEAD_MM[1]:
                row["warning"] = f"no fetal head measures {mm:g} mm around; check the mask and the pixel size"
        rows.append(row)
    return rows


if __name__ == "__main__":
    command.main(add_arguments, run)
