"""Masks and measurements for a folder of images, from a trained segmenter and nothing else; no DVC, no parameters file.

    python -m pipeline.tools.segment --model models/segmenter/sam-40-0-real --images my_images --out my_masks

writes, at each image's own size, ``masks/`` (class indices) and ``overlays/`` (contours), and ``measurements.csv``, in
millimetres too where the pixel size is known. Images are PNG, BMP, TIFF, JPEG or MHA with 8 bits per channel. One that
fails has its reason in the column ``error``, and the exit status is 1. The table comes last: it marks a finished run.
"""

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path

from pipeline.data.tables import positive, read_table, write_table
from pipeline.run import files
from pipeline.run.errors import InputError
from pipeline.tools import command

log = logging.getLogger("pipeline.segment")
SUFFIXES = (".png", ".bmp", ".tif", ".tiff", ".jpg", ".jpeg", ".mha")
COLUMNS = ("file", "structure", "area_px", "area_share", "circumference_px", "circumference_mm", "error")
NAME_COLUMNS, SIZE_COLUMNS = ("filename", "file", "id"), ("pixel size(mm)", "pixel_mm")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", type=Path, required=True, help="folder of a trained segmenter")
    parser.add_argument("--base", type=Path, help="the SAM it started from (default: models/base/<its name>)")
    parser.add_argument("--images", type=Path, required=True, help="folder of images")
    parser.add_argument("--out", type=command.new_folder, required=True, help="folder to write, new or empty")
    scale = parser.add_mutually_exclusive_group()
    scale.add_argument("--pixel-mm", help="edge of a pixel of every image, in millimetres")
    scale.add_argument("--pixel-sizes", type=Path, help="CSV of file names and millimetres per pixel, such as HC18's")
    command.add_compute(parser)


def run(args: argparse.Namespace) -> int:
    """Write masks, overlays and the table; return the exit status, 1 where an image failed.

    Raises:
        InputError: no images, two of one name, no model, or bad pixel sizes.
    """
    paths = find_images(args.images)
    pixel_mm = read_pixel_sizes(args.pixel_sizes) if args.pixel_sizes else {}
    if args.pixel_mm is not None:
        pixel_mm = dict.fromkeys([path.stem for path in paths], positive(args.pixel_mm, "--pixel-mm"))
    elif args.pixel_sizes and (unknown := [path.name for path in paths if path.stem not in pixel_mm]):
        log.warning("%s: no pixel size for %d images, e.g. '%s'", args.pixel_sizes, len(unknown), unknown[0])

    from tqdm import tqdm

    from pipeline.data.case import Case
    from pipeline.data.structures import from_json
    from pipeline.data.writer import encode_png
    from pipeline.imaging.contact_sheet import with_contour
    from pipeline.imaging.decoding import decode_image
    from pipeline.networks.kinds import kind_of
    from pipeline.networks.segmenter import load_segmenter
    from pipeline.run.compute import setup
    from pipeline.tasks.segmentation.inference import predict_native

    device = setup(args)
    network, config = load_segmenter(kind_of(args.model), args.model, device, args.base)
    structures = from_json(config["structures"])
    table, failed = [], 0
    args.out.mkdir(parents=True, exist_ok=True)
    for path in tqdm(paths, desc="images", unit="image", mininterval=5, disable=None):
        # One at a time: a mask then does not depend on what else lies in the folder.
        try:
            image = decode_image(path.read_bytes(), path.name).pixels
            (mask,) = predict_native(network, [Case(path.stem, "", "", image, None)], config["image_size"], device)
            rows = measure(mask, structures, pixel_mm.get(path.stem))
            for kind, pixels in {"masks": mask, "overlays": with_contour(image, mask, height=len(mask))}.items():
                files.write_bytes(args.out / kind / f"{path.stem}.png", encode_png(pixels))
        # Decoders raise all kinds, and no image may stop the others.
        except Exception as error:
            # The text of a system's error names the whole path.
            reason = getattr(error, "strerror", None) or error
            text = str(error) if isinstance(error, InputError) else f"{type(error).__name__}: {reason}"
            rows = [{"error": " ".join(text.replace(str(path), path.name).split())}]
            failed += 1
            log.warning("%s: %s", path.name, rows[0]["error"])
        table += [{"file": path.name} | row for row in rows]
    write_table(args.out / "measurements.csv", table, COLUMNS)
    log.info("%d of %d images segmented, in %s; %d failed", len(paths) - failed, len(paths), args.out, failed)
    return 1 if failed else 0


def find_images(folder: Path) -> list[Path]:
    """The images directly in a folder, by name; hidden ones are passed over.

    Raises:
        InputError: no image there, or two whose masks would have one name.
    """
    names = sorted(path for path in folder.glob("*") if not (path.name.startswith(".") or path.is_dir()))
    found: dict[str, Path] = {}
    for path in names:
        if path.suffix.lower() in SUFFIXES and (other := found.setdefault(path.stem, path)) != path:
            raise InputError(f"{folder}: '{other.name}' and '{path.name}' would share one mask; rename or remove one")
    if not found:
        raise InputError(f"{folder}: no images there; put PNG, BMP, TIFF, JPEG or MHA images in it")
    if others := len(names) - len(found):
        log.warning("%s: %d files are left out, their names do not end in %s", folder, others, ", ".join(SUFFIXES))
    return list(found.values())


def read_pixel_sizes(path: Path) -> dict[str, float]:
    """Millimetres per pixel by file name without suffix.

    Raises:
        InputError: no such CSV, a row without name or size, a size that is no number above 0, or rows that differ.
    """
    sizes: dict[str, float] = {}
    known = (*NAME_COLUMNS, *SIZE_COLUMNS)
    for row in read_table(path, remedy="name a table of pixel sizes", strip=True, optional=known):
        name, size = (next(filter(row.get, keys), None) for keys in (NAME_COLUMNS, SIZE_COLUMNS))
        if name is None or size is None:
            lacking = "'filename'/'file'/'id' and 'pixel size(mm)'/'pixel_mm'; add the column, or fill in the row"
            raise InputError(f"{path}: row {row.number} below the header lacks {lacking}")
        file = row[name]
        stem = Path(file).stem if file.lower().endswith(SUFFIXES) else file
        number = row.positive(size)
        if sizes.setdefault(stem, number) != number:
            raise InputError(f"{path}: two rows for '{file}' differ; keep one of them")
    return sizes


def measure(mask, structures: Sequence, pixel_mm: float | None) -> list[dict]:
    """A row per structure of a class map, uint8 (H, W): area in pixels and as a share of the image.

    The structure of role ``head`` has a circumference too, in pixels and, with the edge of a pixel ``pixel_mm``, in
    millimetres.
    """
    from pipeline.tasks.segmentation.biometry import head_circumference_px

    rows = []
    for index, structure in enumerate(structures, start=1):
        region = mask == index
        row = {"structure": structure.name, "area_px": int(region.sum()), "area_share": round(float(region.mean()), 6)}
        if structure.role == "head" and row["area_px"]:
            row["circumference_px"] = round(circumference := head_circumference_px(region), 2)
            row["circumference_mm"] = round(circumference * pixel_mm, 2) if pixel_mm else None
        rows.append(row)
    return rows


if __name__ == "__main__":
    command.main(add_arguments, run)
