"""What does it cost to learn from unlabelled images? A step of each method beside a supervised one.

    python -m benchmarks.unlabelled_cost --train data/cohorts/train/hc18 --segmenters unet sam_lite0

The first segmenter is trained; of *cross_pseudo* the second is its partner, or the first once more. Of every method a
few steps are taken, one method after the other in turns, so that what else the machine does befalls all alike. Printed
are processor seconds of a step (median), images through a network in it, seconds for each of these beside those of the
supervised step, and the peak memory of the process so far. Of *cross_pseudo* the supervised seconds are the mean of
its two networks, each trained alone. No label matters: pseudo-masks are the true ones.
"""

import argparse
import json
import resource
import statistics
import time
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import numpy as np
import torch
from pydantic import TypeAdapter

from pipeline.config.params import load_params
from pipeline.config.semi_supervised import UnlabelledUse
from pipeline.data.dataset import read_dataset
from pipeline.data.stacking import stack_images, stack_masks
from pipeline.imaging.letterbox import to_uint8
from pipeline.learning.loop import train
from pipeline.learning.recipe import Recipe
from pipeline.learning.segmentation import ImagePool, Segmentation
from pipeline.run.compute import setup
from pipeline.semi_supervision.choice import semi_supervised
from pipeline.semi_supervision.views import UnlabelledImages

METHODS = ("supervised", "pseudo", "mean_teacher", "unimatch", "cross_pseudo")
STEPS, TURNS = 4, 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--params", type=Path, default=Path("params.yaml"))
    parser.add_argument("--train", type=Path, required=True)
    parser.add_argument("--segmenters", nargs="+", required=True)
    parser.add_argument("--bases", type=Path, default=Path(".scratch/unlabelled_cost"))
    args = parser.parse_args()
    config = load_params(args.params)
    device, size = setup(config.compute), config.segmenters[args.segmenters[0]].base.image_size
    dataset = read_dataset(args.train, splits=["train"])
    cases, n_structures = dataset.cases[:64], dataset.n_structures
    images, masks = stack_images(cases, size), stack_masks(cases, size)
    pool = ImagePool(images, masks, config.augment)
    others = UnlabelledImages(to_uint8(images[:, 0]), masks, config.augment, config.strong_augment)

    def built(name: str):
        settings = config.segmenters[name]
        kind = import_module(f"pipeline.networks.{settings.kind}.checkpoint")
        folder = args.bases / name
        if not folder.exists():
            kind.save_base(folder, settings, *([config.seed] if settings.kind == "sam" else []))
        return kind.build(folder, settings, n_structures)

    def objective_of(method: str, name: str):
        labelled = Segmentation(built(name), pool, n_structures, lambda step: range(len(pool)))
        if method == "supervised":
            return labelled
        asked = {"method": method}
        if method == "cross_pseudo":
            asked |= {"networks": ["own", "partner"], "warmup": 0.0, "ramp": 0.0}
        names = [structure.name for structure in dataset.structures]
        return semi_supervised(
            labelled, others, TypeAdapter(UnlabelledUse).validate_python(asked), steps=STEPS, names=names, key="",
            partner=lambda: built(args.segmenters[-1]),
        )  # fmt: skip

    recipe = replace(Recipe.of(config.segmenters[args.segmenters[0]]), steps=STEPS + 1)
    trained = {"supervised": args.segmenters[0], "partner alone": args.segmenters[-1]}
    trained |= dict.fromkeys(METHODS[1:], args.segmenters[0])
    objectives = {
        title: objective_of("supervised" if title == "partner alone" else title, name)
        for title, name in trained.items()
    }
    seconds: dict[str, list[float]] = {title: [] for title in objectives}
    for _ in range(TURNS):
        for title, objective in objectives.items():
            marks: list[float] = []
            train(objective, recipe, seed=0, device=device, on_step=lambda *_: marks.append(time.process_time()))  # noqa: B023
            seconds[title] += list(np.diff(marks))
    alone = statistics.median(seconds["supervised"]) / recipe.batch
    pair = (alone + statistics.median(seconds["partner alone"]) / recipe.batch) / 2
    for title, objective in objectives.items():
        passes = {"with_gradient": recipe.batch, "without_gradient": 0}
        if hasattr(objective, "passes"):
            passes = objective.passes([STEPS], recipe.batch)
        step = statistics.median(seconds[title])
        each = step / sum(passes.values())
        row = {"method": title, "seconds_per_step": round(step, 3), **passes, "seconds_per_image": round(each, 4)}
        row["of_supervised"] = round(each / (pair if title == "cross_pseudo" else alone), 3)
        row["peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        print(json.dumps(row | {"threads": torch.get_num_threads()}), flush=True)


if __name__ == "__main__":
    main()
