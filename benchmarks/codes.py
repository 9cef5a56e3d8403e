"""Which image code should the generator work in? The same network, masks and processor time, one code after the other.

    python -m benchmarks.codes --train data/cohorts/train/hc18 --labels 220 --seconds 1800 --out results/codes

Seconds are the process's, divided by ``compute.threads``: another program on the machine costs a code no steps.
With ``--unlabelled`` (a folder of the stage `pseudo_label` for the same labels and replicate) images without a label
join, with the label-budget filter's masks. Each run encodes views, trains for as many steps as fit into the time that
is left, and samples one image of each of ``--images`` masks of the labels, as the stage `sample` does. Its row is
added to ``rows.jsonl`` when it is done, and a run that has one is not repeated; beside it lies a contact sheet, real
images in the first row. Images are compared with those of ``--splits``: where settings are chosen, patients of val and
of the evaluation network; no label of theirs is read but by ``--network``, a folder of the stage
`train_evaluation_network`: then a row has its mean Dice with the masks of the synthetic images, and with those of real
ones of other splits than `evaluation`, the ceiling.

Options of the sections ``views`` and ``diffusion`` are changed by ``--set``, as ``--set diffusion.emphasis=2``; a run's
name then has the change.
"""

import argparse
import json
import logging
import time
from pathlib import Path

import numpy as np
import torch
import yaml

from benchmarks.training_step import Clock
from pipeline.config.params import Config, load_params
from pipeline.data.case import Case
from pipeline.data.dataset import read_dataset
from pipeline.data.labels import label_subset
from pipeline.data.stacking import at_size, stack_images
from pipeline.data.writer import encode_png
from pipeline.diffusion.codes.choice import fitted_code
from pipeline.diffusion.masks import MaskSource
from pipeline.diffusion.sampling import synthetic_cases
from pipeline.diffusion.training import train_generator
from pipeline.diffusion.training_set import TrainingSet, build_training_set
from pipeline.diffusion.views import encode_views, fit_to_grid, save_views
from pipeline.features.extraction import extract
from pipeline.features.timm_models import open_lite0
from pipeline.imaging.contact_sheet import contact_sheet
from pipeline.imaging.letterbox import letterbox
from pipeline.networks.small_unet import load_unet
from pipeline.quality.fidelity import fidelity
from pipeline.quality.radiomics_distance import frechet_radiomics_distance, radiomics_features
from pipeline.quality.two_sample import two_sample_test
from pipeline.run import files, seeds
from pipeline.run.compute import setup
from pipeline.run.resume import Scratch
from pipeline.tasks.segmentation.inference import class_map, probabilities
from pipeline.tasks.segmentation.inference import dice as overlaps

LINEAR = {"kind": "linear", "block": 8, "components": 32, "lapped": True, "whitening": 0.5}
CODES = {
    "pixel-64": (64, {"kind": "pixel", "patch": 2}),
    "pixel-128": (128, {"kind": "pixel", "patch": 4}),
    "linear-256": (256, LINEAR),
    "blocks-256": (256, LINEAR | {"lapped": False}),
    "taef2-256": (
        256,
        {
            "kind": "taef2",
            "whitening": 0.0,
            "encoder": "models/pretrained/taef2_encoder.pth",
            "decoder": "models/pretrained/taef2_decoder.pth",
        },
    ),
}
"""Size in pixels and code, each on a grid of 32 × 32 cells."""
SHOWN = 8
TIMED = 10
log = logging.getLogger("benchmarks.codes")


class Silent:
    """A progress bar that shows nothing, and the loss of every step."""

    def __init__(self):
        self.losses: list[float] = []

    def __call__(self, step: int, loss: float) -> None:
        self.losses.append(loss)

    def image(self, name: str, pixels: np.ndarray) -> None:
        pass


def changed(config: Config, name: str, changes: list[str]) -> Config:
    """The parameters with the code of that name and other changes, checked."""
    size, code = CODES[name]
    values = config.model_dump(mode="json", exclude_unset=True)
    values["views"] |= {"image_size": size, "code": code}
    for change in changes:
        place, value = change.split("=", 1)
        section = values
        *keys, last = place.split(".")
        for key in keys:
            section = section[key]
        section[last] = yaml.safe_load(value)
    return Config.model_validate(values)


def run(args: argparse.Namespace, config: Config, name: str, replicate: int, folder: Path) -> dict:
    device = setup(config.compute)
    started = processor_seconds()
    dataset = read_dataset(args.train, splits=["train", *args.splits])
    train = [case for case in dataset.cases if case.split == "train"]
    labels = label_subset(dataset, args.labels, replicate, config.seed)
    others = read_dataset(args.unlabelled).cases if args.unlabelled else []
    views, diffusion, seed = config.views, config.diffusion, seeds.derive(config.seed, "codes", replicate)
    data = build_training_set(labels, others, dataset.structures, views.image_size)
    data = fit_to_grid(data, [case.id for case in [*labels, *others]], views.code.factor)
    code = fitted_code(views.code, data.images, data.sectors)
    encoded = encode_views(data, code, views, seed, folder / "chunks", config.compute.threads, device)
    save_views(encoded, folder)
    encoding = processor_seconds() - started
    scratch = Scratch(folder / "scratch", "codes", [], name)
    step = timed_step(data, folder, diffusion, seed, device)
    steps = max(TIMED, int((args.seconds - encoding) / step))
    diffusion = diffusion.model_copy(update={"steps": steps, "preview_every": steps})
    tick, began = Silent(), processor_seconds()
    generator = train_generator(data, folder, diffusion, seed, scratch, device, tick)
    training = processor_seconds() - began
    generator.save(folder / "model")

    sampler = config.sample.model_copy(update={"count": args.images, "chunk_size": 20})
    source = MaskSource(labels, dataset.n_structures, views.image_size, sampler.masks, config.warp, seed)
    began = processor_seconds()
    made = [
        case
        for start in range(0, args.images, sampler.chunk_size)
        for case in synthetic_cases(
            generator, source, range(start, min(start + sampler.chunk_size, args.images)), sampler, seed
        )
    ]
    sampling = processor_seconds() - began
    real = [case for case in dataset.cases if case.split in args.splits]
    files.write_bytes(args.out / f"{folder.name}.png", sheet(real, made))
    return {
        "steps": steps,
        "encoding_s": round(encoding),
        "training_s": round(training),
        "images_per_s": round(args.images / sampling, 2),
        "loss": round(float(np.mean(tick.losses[-100:])), 4),
        **compared(made, real, train, config.seed, device),
        **agreed(made, [case for case in real if case.split != "evaluation"], args.network, device),
    }


def processor_seconds() -> float:
    """Of this process and all its threads, divided by their number."""
    return time.process_time() / torch.get_num_threads()


def timed_step(data: TrainingSet, folder: Path, diffusion, seed: int, device) -> float:
    """Processor seconds of a training step, after one to warm up."""
    moments: list[float] = []
    short = diffusion.model_copy(update={"steps": TIMED, "checkpoint_every": TIMED, "preview_every": 10**6})

    clock = Clock(moments, processor_seconds)
    train_generator(data, folder, short, seed, Scratch(folder / "timed", "codes", []), device, clock)
    return float(np.median(np.diff(moments)))


def compared(made: list[Case], real: list[Case], train: list[Case], seed: int, device) -> dict:
    """Synthetic images against real ones of the split, equally many, and the train images against the same as floor."""
    n = min(len(made), len(real), len(train))
    made, real, train = ([cases[i] for i in spaced(len(cases), n)] for cases in (made, real, train))
    extractor = open_lite0(device)
    features = {
        which: extract(extractor, (letterbox(case.image, 256)[0] for case in cases), device)
        for which, cases in (("made", made), ("real", real), ("train", train))
    }
    options = {"kid_subsets": 50, "neighbours": 3, "seed": seed, "resamples": 0}
    kid = {which: fidelity(features[which], features["real"], **options)["kid"].value for which in ("made", "train")}
    textures = {
        which: np.stack([radiomics_features(*small(case)) for case in cases])
        for which, cases in (("made", made), ("real", real), ("train", train))
    }
    distances = {which: frechet_radiomics_distance(textures[which], textures["real"]) for which in ("made", "train")}
    levels = {which: [float(letterbox(case.image, 256)[0].mean()) for case in cases]
              for which, cases in (("made", made), ("real", real))}  # fmt: skip
    patients = [[case.patient for case in cases] for cases in (real, made)]
    told = two_sample_test(features["real"].numpy(), features["made"].numpy(), *patients, seed)
    numbers = {
        "kid": kid["made"],
        "kid_floor": kid["train"],
        "auc": told.auc,
        "radiomics": distances["made"],
        "radiomics_floor": distances["train"],
        "brightness": float(np.mean(levels["made"])),
        "brightness_sd": float(np.std(levels["made"], ddof=1)),
        "real_brightness": float(np.mean(levels["real"])),
        "real_brightness_sd": float(np.std(levels["real"], ddof=1)),
    }
    return {"n": n, **{key: None if value is None else round(value, 4) for key, value in numbers.items()}}


def agreed(made: list[Case], real: list[Case], folder: Path | None, device) -> dict:
    """Mean Dice of the evaluation network's map and the mask, of synthetic images and of real ones."""
    if folder is None:
        return {}
    network, options = load_unet(folder, "evaluation_network", device)

    def dice(cases: list[Case]) -> float:
        found = probabilities(network, stack_images(cases, options["image_size"]), device)
        masks = (letterbox(case.mask, options["image_size"], mask=True)[0] for case in cases)
        pairs = zip(found, masks, strict=True)
        return round(float(np.mean([overlaps(class_map(one), mask, len(one)) for one, mask in pairs])), 4)

    return {"agreement": dice(made), "agreement_ceiling": dice(real)}


def small(case: Case) -> tuple[np.ndarray, np.ndarray]:
    """Image and region of structures at 64 px, where sets of every size can be compared."""
    image, mask = at_size(case, 64)
    return image, mask > 0


def spaced(count: int, wanted: int) -> list[int]:
    return np.linspace(0, count - 1, wanted).round().astype(int).tolist()


def sheet(real: list[Case], made: list[Case]) -> bytes:
    """Real images above synthetic ones, at 256 px."""
    rows = [[real[i] for i in spaced(len(real), SHOWN)], made[:SHOWN], made[SHOWN : 2 * SHOWN]]
    tiles = [letterbox(case.image, 256)[0] for row in rows for case in row]
    return encode_png(contact_sheet([np.repeat(tile[..., None], 3, axis=2) for tile in tiles], SHOWN))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train", type=Path, required=True, help="a prepared cohort with labels")
    parser.add_argument("--unlabelled", type=Path, help="images with pseudo-masks, or without")
    parser.add_argument("--labels", type=int, required=True)
    parser.add_argument("--replicates", type=int, nargs="+", default=[0])
    parser.add_argument("--codes", nargs="+", default=list(CODES), choices=list(CODES))
    parser.add_argument("--seconds", type=float, default=1800, help="of encoding and training together")
    parser.add_argument("--images", type=int, default=120)
    parser.add_argument("--splits", nargs="+", default=["val", "evaluation"], help="of real images to compare with")
    parser.add_argument("--network", type=Path, help="an evaluation network: do images agree with their masks?")
    parser.add_argument("--set", action="append", default=[], dest="changes", metavar="KEY=VALUE")
    parser.add_argument("--params", type=Path, default=Path("params.yaml"))
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    base = load_params(args.params)
    args.out.mkdir(parents=True, exist_ok=True)
    rows = args.out / "rows.jsonl"
    for replicate in args.replicates:
        for name in args.codes:
            key = {"code": name, "labels": args.labels, "replicate": replicate, "seconds": args.seconds}
            key |= {"unlabelled": bool(args.unlabelled), "splits": args.splits, "changes": args.changes}
            done = [json.loads(line) for line in rows.read_text().splitlines()] if rows.exists() else []
            if any(all(row[part] == value for part, value in key.items()) for row in done):
                continue
            words = [name, args.labels, replicate, f"{args.seconds:g}s", *args.changes]
            folder = args.out / "-".join(str(word).replace("/", "_") for word in words)
            folder.mkdir(exist_ok=True)
            row = key | run(args, changed(base, name, args.changes), name, replicate, folder)
            with rows.open("a") as file:
                file.write(json.dumps(row) + "\n")
            log.info("%s", row)


if __name__ == "__main__":
    main()
