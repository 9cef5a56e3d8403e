"""Images for a folder of masks, from a trained model and nothing else; no DVC, no parameters file.

    python -m pipeline.tools.generate --model models/diffusion/40-0 --masks my_masks --out my_images

writes ``images/`` and ``masks/`` (pairs of equal names, at the model's resolution) and ``preview.png``. Masks are PNG,
BMP, TIFF, DICOM, MHA, NRRD or NIfTI: class indices, or black and white for one structure. A JPEG is refused; files in
subfolders and of other kinds are passed over and named. An image is a function of model, mask, name and seed.
"""

import argparse
import logging
from pathlib import Path

from pipeline.run import files
from pipeline.run.errors import InputError
from pipeline.run.outputs import written_whole
from pipeline.tools import command

log = logging.getLogger("pipeline.generate")
COLUMNS, SHOWN = 6, 24
"""Tiles of the preview."""
SAMPLER = {"guidance_interval": (0.2, 3.0), "sigma_min": 0.01, "sigma_max": 40.0}
"""As in every preset."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", type=Path, required=True, help="folder of a trained diffusion model")
    parser.add_argument("--masks", type=Path, required=True, help="folder of masks")
    parser.add_argument("--out", type=command.new_folder, required=True, help="folder to write, new or empty")
    numbers = {
        "per-mask": (command.between(int, 1, 10**6), 1, "images per mask"),
        "seed": (int, 0, "of the images"),
        "steps": (command.between(int, 2, 1000), 14, "sampler steps"),
        "guidance": (command.between(float, 0), 1.5, "1 is unguided"),
        "chunk-size": (command.between(int, 1, 256), 16, "images made at once"),
    }
    for name, (kind, default, about) in numbers.items():
        parser.add_argument(f"--{name}", type=kind, default=default, help=f"{about} (default: %(default)s)")
    command.add_compute(parser)


def run(args: argparse.Namespace) -> None:
    """Write the pairs.

    Raises:
        InputError: no masks, a damaged mask or one that is refused, or no model.
    """
    import numpy as np
    from tqdm import tqdm

    from pipeline.config.sample import Sampler
    from pipeline.data import structures
    from pipeline.data.writer import encode_png
    from pipeline.decoding.decode import read_masks
    from pipeline.diffusion.backends import open_generator
    from pipeline.diffusion.sector import sector_bank
    from pipeline.imaging.contact_sheet import contact_sheet, with_contour
    from pipeline.run.compute import setup
    from pipeline.run.seeds import derive

    generator = open_generator(args.model, setup(args))
    masks = dict(read_masks(args.masks, structures.names(generator.structures)))
    if not masks:
        raise InputError(f"{args.masks}: no masks there; put PNG, BMP or TIFF masks in it")
    bank = sector_bank(generator.sectors, generator.image_size)
    wanted = [(f"{name}-{k}" if args.per_mask > 1 else name, name) for name in masks for k in range(args.per_mask)]
    sampler = Sampler(steps=args.steps, guidance=args.guidance, chunk_size=args.chunk_size, **SAMPLER)
    count, tiles = 0, []
    with written_whole(args.out) as folder:
        for start in tqdm(range(0, len(wanted), args.chunk_size), desc="chunks", mininterval=5, disable=None):
            chunk = wanted[start : start + args.chunk_size]
            # Always a full chunk: an image then does not depend on how many there are.
            full = chunk + chunk[-1:] * (args.chunk_size - len(chunk))
            draws = [draw_of(name, masks[name], generator, bank, derive(args.seed, image)) for image, name in full]
            rendered = generator.render(draws, [derive(args.seed, "image", image) for image, _ in full], sampler)
            for (name, _), draw, image, mask in zip(chunk, draws, *rendered, strict=False):
                if mask is None:
                    log.warning("%s: the sample shows no closed structure and is left out", name)
                    continue
                pair = draw.box.crop(image), draw.box.crop(mask)
                for kind, pixels in zip(("images", "masks"), pair, strict=True):
                    files.write_bytes(folder / kind / f"{name}.png", encode_png(np.ascontiguousarray(pixels)))
                count += 1
                if len(tiles) < SHOWN:
                    tiles.append(with_contour(*pair, height=144))
        if not tiles:
            raise InputError(f"{args.model}: no sample shows a closed structure; train the model longer")
        files.write_bytes(folder / "preview.png", encode_png(contact_sheet(tiles, COLUMNS)))
    log.info("%d images in %s", count, args.out)


def draw_of(name: str, mask, generator, bank, seed: int):
    """The draw of a mask (uint8 HxW) in one of the model's own sectors (bool [N, S, S]).

    Raises:
        InputError: of a structure too little is left at the model's resolution.
    """
    import torch

    from pipeline.data.structures import names
    from pipeline.diffusion.conditioning import check_cells
    from pipeline.diffusion.mask_draw import MaskDraw
    from pipeline.diffusion.sector import choose_sectors
    from pipeline.imaging.letterbox import letterbox

    size = bank.shape[-1]
    boxed, box = letterbox(mask, size, mask=True)
    if not boxed.any():
        raise InputError(f"mask '{name}': nothing is left of it at {size} px; draw it larger")
    check_cells(boxed, names(generator.structures), generator.cell, f"mask '{name}'", "draw it larger, or leave it out")
    rng = torch.Generator().manual_seed(seed)
    (sector,) = choose_sectors(torch.from_numpy(boxed)[None], bank, rng).numpy()
    return MaskDraw(boxed, box, sector, "user", transform="{}")


if __name__ == "__main__":
    command.main(add_arguments, run)
