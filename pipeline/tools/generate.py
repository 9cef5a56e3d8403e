"""Images for a folder of masks, from a trained model and nothing else; no DVC, no parameters file.

    python -m pipeline.tools.generate --model models/diffusion/40-0 --masks my_masks --out my_images

writes ``images/`` and ``masks/`` (pairs of equal names, at the model's resolution) and ``preview.png``. Masks are PNG,
BMP or TIFF: class indices, or black and white for one structure. An image is a function of model, mask, name and seed.
"""

import argparse
import logging
import os
from collections.abc import Iterator
from pathlib import Path

from pipeline.run.errors import InputError
from pipeline.run.stage import SCRATCH
from pipeline.tools.command import command_line

log = logging.getLogger("pipeline.from_masks")
SAMPLERS = ("dpmpp_2m", "sde_dpmpp_2m", "euler")


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m pipeline.tools.generate",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--model", type=Path, required=True, help="folder of a trained diffusion model")
    parser.add_argument("--masks", type=Path, required=True, help="folder of masks")
    parser.add_argument("--out", type=Path, required=True, help="folder to write; it must not exist yet")
    parser.add_argument("--per-mask", type=int, default=1, help="images per mask (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=14, help="sampler steps (default: %(default)s)")
    parser.add_argument("--guidance", type=float, default=1.5, help="1 is unguided (default: %(default)s)")
    parser.add_argument("--sampler", choices=SAMPLERS, default=SAMPLERS[0])
    parser.add_argument("--chunk-size", type=int, default=16, help="images made at once (default: %(default)s)")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda", "mps"), default="auto")
    parser.add_argument("--threads", type=int, default=2)
    return parser


def run(args: argparse.Namespace) -> int:
    """Write the pairs and return how many there are.

    Raises:
        InputError: no masks, a damaged mask, no model, or an output folder that exists.
    """
    if args.out.exists():
        raise InputError(f"{args.out}: exists already; name a new folder, or remove it")
    for name, least, most in (("per_mask", 1, 10**6), ("steps", 2, 1000), ("chunk_size", 1, 256), ("threads", 1, 1024)):
        if not least <= getattr(args, name) <= most:
            option = f"--{name.replace('_', '-')}"
            raise InputError(f"{option} is {getattr(args, name)}; it must be from {least} to {most}")
    if args.guidance < 0:
        raise InputError(f"--guidance is {args.guidance}; it must not be negative")
    if not args.masks.is_dir() or not any(args.masks.iterdir()):
        raise InputError(f"{args.masks}: no masks there; put PNG, BMP or TIFF masks in it")

    import numpy as np
    from PIL import Image
    from tqdm import tqdm

    from pipeline.config.compute import Compute
    from pipeline.data.structures import names
    from pipeline.diffusion.backends import open_generator
    from pipeline.diffusion.sector import sector_bank
    from pipeline.imaging.contact_sheet import contact_sheet, with_contour
    from pipeline.imaging.decoding import read_masks
    from pipeline.run import files
    from pipeline.run.compute import setup
    from pipeline.run.seeds import derive

    generator = open_generator(args.model, setup(Compute(device=args.device, threads=args.threads)))
    if not (masks := read_masks(args.masks, names(generator.structures))):
        raise InputError(f"{args.masks}: no masks there; put PNG, BMP or TIFF masks in it")
    bank = sector_bank(generator.sectors, generator.image_size)
    names = [f"{name}-{k}" if args.per_mask > 1 else name for name, _ in masks for k in range(args.per_mask)]
    partial = SCRATCH / "partial" / f"from_masks-{os.getpid()}"
    tiles = []
    try:
        with tqdm(total=len(names), desc="images", unit="image", mininterval=5, disable=None) as bar:
            for start in range(0, len(names), args.chunk_size):
                chunk = range(start, min(start + args.chunk_size, len(names)))
                draws = [draw_of(masks[i // args.per_mask], bank, derive(args.seed, names[i])) for i in chunk]
                padding = args.chunk_size - len(draws)
                noise_seeds = [derive(args.seed, "image", names[i]) for i in chunk]
                images, kept = generator.render(
                    draws + draws[-1:] * padding,
                    noise_seeds + noise_seeds[-1:] * padding,
                    settings_of(args, len(names)),
                )
                for i, draw, image, mask in zip(chunk, draws, images, kept, strict=False):
                    if mask is None:
                        log.warning("%s: the sample shows no closed structure and is left out", names[i])
                        continue
                    pair = draw.box.crop(image), draw.box.crop(mask)
                    for kind, pixels in zip(("images", "masks"), pair, strict=True):
                        (partial / kind).mkdir(parents=True, exist_ok=True)
                        Image.fromarray(np.ascontiguousarray(pixels)).save(partial / kind / f"{names[i]}.png")
                    if len(tiles) < 24:
                        tiles.append(with_contour(*pair, height=144))
                bar.update(len(chunk))
        if not tiles:
            raise InputError(f"{args.model}: no sample shows a closed structure; train the model longer")
        Image.fromarray(contact_sheet(list(_rows(tiles)))).save(partial / "preview.png")
        files.replace(partial, args.out)
    finally:
        files.remove(partial)
    return len(list((args.out / "images").iterdir()))


def settings_of(args: argparse.Namespace, count: int):
    """The parameters of the sampler."""
    from pipeline.config.sample import MaskShares, Sample, Variety

    return Sample(
        count=count,
        masks=MaskShares(parent=0, shape_model=0, user=1),
        # The stage `sample` makes that second set; here nobody asks for one.
        variety=Variety(masks=2, images=2),
        sampler=args.sampler,
        steps=args.steps,
        guidance=args.guidance,
        guidance_interval=(0.2, 3.0),
        sigma_min=0.01,
        sigma_max=40.0,
        chunk_size=args.chunk_size,
    )


def draw_of(named, bank, seed: int):
    """The draw of a mask (name, uint8 HxW) in one of the model's own sectors (bool [N, S, S])."""
    import json

    import torch

    from pipeline.diffusion.masks import MaskDraw
    from pipeline.diffusion.sector import choose_sectors
    from pipeline.imaging.letterbox import letterbox

    name, mask = named
    size = bank.shape[-1]
    boxed, box = letterbox(mask, size, mask=True)
    if not boxed.any():
        raise InputError(f"mask '{name}': nothing is left of it at {size} px; draw it larger")
    rng = torch.Generator().manual_seed(seed)
    (sector,) = choose_sectors(torch.from_numpy(boxed)[None], bank, rng).numpy()
    return MaskDraw(boxed, box, sector, "user", json.dumps({"mask": name}))


def _rows(tiles: list, columns: int = 6) -> Iterator[list]:
    for start in range(0, len(tiles), columns):
        yield tiles[start : start + columns]


def main() -> None:
    args = build_parser().parse_args()
    with command_line(args.threads):
        log.info("%d images in %s", run(args), args.out)


if __name__ == "__main__":
    main()
