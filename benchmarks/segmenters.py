"""Segmenters beside each other on real cohorts, promptless, for equal processor time: Dice, HD95, circumference error.

    python -m benchmarks.segmenters --train data/cohorts/train/hc18 --held-out data/cohorts/held_out/spanish \
        --labels 10 50 220 --replicates 0 1 2 --models small_unet sam unet
    python -m benchmarks.segmenters ... --encoder mobilenet_v2.npz --models unet:scratch unet:all unet:decoder

A model is ``small_unet`` (the U-Net of ``filter``), or a name under ``segmenters`` in the parameters; ``unet:decoder``
changes what of it is trained, ``unet:exclusive`` what its logits stand for, ``--image-size`` the size of all of them.
Every cell trains on n labels alone, for as many steps as fit into the processor time of ``--steps`` steps of the first
model, measured on a few steps of each before; with ``--equal-steps`` for ``--steps``. Scores are per case at native
resolution; printed per cell and, at the end, as means over replicates with the least and the most. ``--val-only`` opens
no test case. Several structures and the unions of the parameters have their own Dice and HD95 (with ``task.hausdorff``
the full Hausdorff distance too), and with a symphysis and a head the angle is scored too. ``ms_per_image`` is the wall
time from a native image to its native mask, one at a time, median of ``TIMED`` cases: it repeats on no machine, so it
stands here and in no result.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import get_args

import numpy as np
import torch

from pipeline.config.canvas import Canvas
from pipeline.config.params import load_params
from pipeline.config.section import Outputs
from pipeline.data.dataset import read_dataset
from pipeline.data.labels import label_subset
from pipeline.data.stacking import stack_images, stack_masks
from pipeline.data.structures import Structure
from pipeline.learning.recipe import Recipe
from pipeline.learning.segmentation import ImagePool, fit
from pipeline.networks.parameters import count_parameters
from pipeline.networks.small_unet import build_unet
from pipeline.run import seeds
from pipeline.tasks.metrics import PAIR
from pipeline.tasks.segmentation.inference import predict_native
from pipeline.tasks.segmentation.scores import pair_of, regions_of, score_case

CPU = torch.device("cpu")
METRICS = {"dice", "hd95_mm", "hd95_px", "hd_px", "hc_error_mm", "hc_error_percent", "aop_error_deg",
           "aop_official_error_deg", "aop_failed"}  # fmt: skip
TRIAL, TIMED = 6, 20


class Model:
    """A network to be built anew for every cell, and its recipe."""

    def __init__(self, name: str, config, encoder: str | None, image_size: Canvas | None, bases: Path):
        self.name, self.config, self.settings = name, config, None
        if name == "small_unet":
            self.size = image_size or config.filter.image_size
            return
        segmenter, *changed = name.split(":")
        settings = config.segmenters[segmenter]
        of_base = {"weights": encoder} if encoder and settings.kind == "unet" else {}
        of_base |= {"image_size": image_size} if image_size else {}
        changes = {"base": settings.base.model_copy(update=of_base)}
        changes |= {"outputs" if word in get_args(Outputs) else "train": word for word in changed}
        self.settings = settings.model_copy(update=changes)
        self.size = self.settings.base.image_size
        self.base = bases / name.replace(":", "-")
        self.kind = import_module(f"pipeline.networks.{settings.kind}.checkpoint")
        self.kind.save_base(self.base, self.settings, *([config.seed] if settings.kind == "sam" else []))

    def build(self, n_structures: int):
        if self.settings is None:
            return build_unet(self.config.filter.channels, n_structures)
        return self.kind.build(self.base, self.settings, n_structures)

    def recipe(self, steps: int) -> Recipe:
        return replace(Recipe.of(self.settings or self.config.filter), steps=steps)


def seconds_per_step(model: Model, pool: ImagePool, n_structures: int) -> float:
    """Processor time of a step, from a few; what comes before the first one is not counted."""
    marks: list[float] = []
    fit(model.build(n_structures), pool, model.recipe(TRIAL), n_structures=n_structures, seed=0, device=CPU,
        on_step=lambda step, loss: marks.append(time.process_time()))  # fmt: skip
    return statistics.median(np.diff(marks))


def scores_of(network, cases, size: Canvas, structures: Sequence[Structure], task) -> dict[str, float]:
    """Means over the cases by metric, of several structures with the name of each before it."""
    regions, pair = regions_of(structures, task.unions, task.hausdorff), pair_of(structures)
    values: dict[str, list[float]] = {}
    for predicted, case in zip(predict_native(network, cases, size, CPU), cases, strict=True):
        for row in score_case(predicted, case, regions, pair):
            if row["metric"] in METRICS:
                name = (
                    row["metric"] if len(regions) == 1 or row["region"] == PAIR else f"{row['region']} {row['metric']}"
                )
                values.setdefault(name, []).append(row["value"])
    return {name: round(float(np.mean(known)), 4) for name, known in values.items()}


def ms_per_image(network, cases, size: Canvas) -> float:
    """Wall time of one prediction, milliseconds."""
    took = []
    for case in cases[:TIMED]:
        start = time.perf_counter()
        predict_native(network, [case], size, CPU)
        took.append(1000 * (time.perf_counter() - start))
    return statistics.median(took)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--params", type=Path, default=Path("params.yaml"))
    parser.add_argument("--train", type=Path, required=True)
    parser.add_argument("--held-out", type=Path, nargs="*", default=[])
    parser.add_argument("--val-only", action="store_true", help="of the training cohort, score the val cases alone")
    parser.add_argument("--labels", type=int, nargs="+", default=[10, 50, 220])
    parser.add_argument("--replicates", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--models", nargs="+", default=["small_unet", "sam", "unet"])
    parser.add_argument("--encoder", help="weights for the encoders of U-Nets, instead of those of the parameters")
    parser.add_argument(
        "--image-size", type=int, nargs="+", help="pixels of every model, one number or height and width"
    )
    parser.add_argument("--augment", choices=("standard", "strong"), default="standard")
    parser.add_argument("--steps", type=int, default=300, help="of the first model")
    parser.add_argument("--equal-steps", action="store_true", help="the same number of steps for every model instead")
    args = parser.parse_args()
    size = args.image_size and (args.image_size[0] if len(args.image_size) == 1 else tuple(args.image_size))
    config = load_params(args.params)
    augmentation = config.augment if args.augment == "standard" else config.strong_augment
    torch.set_num_threads(config.compute.threads)
    splits = ["val"] if args.val_only else ["val", "test"]
    dataset = read_dataset(args.train, splits=["train", *splits])
    cohorts = {f"{args.train.name} {split}": dataset.split(split) for split in splits}
    cohorts |= {path.name: read_dataset(path, splits=["test"]).cases for path in args.held_out}
    with tempfile.TemporaryDirectory() as folder:
        structures, count = dataset.structures, dataset.n_structures
        models = [Model(name, config, args.encoder, size, Path(folder)) for name in args.models]

        def pool_of(model: Model, n: int, replicate: int) -> ImagePool:
            cases = label_subset(dataset, n, replicate, config.seed)
            return ImagePool(stack_images(cases, model.size), stack_masks(cases, model.size), augmentation)

        cost = {model.name: seconds_per_step(model, pool_of(model, args.labels[0], 0), count) for model in models}
        first = cost[models[0].name]
        steps = {name: args.steps if args.equal_steps else round(args.steps * first / s) for name, s in cost.items()}
        print(json.dumps({"seconds_per_step": {k: round(v, 3) for k, v in cost.items()}, "steps": steps}), flush=True)
        table: dict[tuple, list[dict]] = {}
        for n in args.labels:
            for model in models:
                for replicate in args.replicates:
                    seed = seeds.derive(config.seed, "finetune", n, replicate)
                    torch.manual_seed(seed)
                    pool = pool_of(model, n, replicate)
                    network = model.build(count)
                    about = {"labels": n, "model": model.name, **count_parameters(network)}
                    start = time.process_time()
                    fit(network, pool, model.recipe(steps[model.name]), n_structures=count, seed=seed, device=CPU)
                    seconds = time.process_time() - start
                    for cohort, cases in cohorts.items():
                        scores = scores_of(network, cases, model.size, structures, config.task)
                        scores["ms_per_image"] = round(ms_per_image(network, cases, model.size), 1)
                        table.setdefault((n, model.name, cohort), []).append(scores)
                        cell = about | {"replicate": replicate, "cohort": cohort}
                        print(json.dumps({**cell, **scores, "cpu_s": round(seconds)}), flush=True)
    for (n, name, cohort), cells in table.items():
        summary = {
            "labels": n,
            "model": name,
            "cohort": cohort,
            "cases": len(cohorts[cohort]),
            "replicates": len(cells),
        }
        for metric in cells[0]:
            values = [cell[metric] for cell in cells]
            summary[metric] = [round(statistics.mean(values), 4), min(values), max(values)]
        print(json.dumps(summary))


if __name__ == "__main__":
    main()
