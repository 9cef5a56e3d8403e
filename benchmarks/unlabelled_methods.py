"""Which settings of the methods with unlabelled images are worth a grid? Promptless, on val, for equal steps.

    python -m benchmarks.unlabelled_methods --train data/cohorts/train/hc18 --segmenters unet sam_lite0 --labels 10 \
        --methods supervised unimatch "{method: unimatch, batch_norm: apart}" --steps 300 --out results/methods

The first segmenter is trained on n labels, with the other images of the train split where a method uses them; no mask
of these is read. The second is its partner in *cross_pseudo*. ``pseudo`` reads ``--pseudo``, a folder of the stage
`pseudo_label` for the same labels and replicate. Scores are means over val cases at native resolution; no test case is
opened. A row is added to ``rows.jsonl`` when it is done, and one that is there is not repeated. Several structures have
their own scores.
"""

import argparse
import json
import time
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import torch
import yaml
from pydantic import TypeAdapter

from benchmarks.segmenters import scores_of
from pipeline.config.params import load_params
from pipeline.config.semi_supervised import UnlabelledUse
from pipeline.data.dataset import read_dataset, read_images
from pipeline.data.labels import label_subset
from pipeline.data.stacking import stack_images, stack_masks
from pipeline.data.structures import names
from pipeline.imaging.letterbox import letterbox
from pipeline.learning.loop import train
from pipeline.learning.recipe import Recipe
from pipeline.learning.segmentation import ImagePool, Segmentation
from pipeline.networks.kinds import kind_named
from pipeline.run import seeds
from pipeline.run.compute import setup
from pipeline.semi_supervision.choice import semi_supervised
from pipeline.semi_supervision.views import UnlabelledImages


class Trainings:
    """Trainings of the first of two segmenters on n labels of one cohort, by method; the second is its partner."""

    def __init__(self, args: argparse.Namespace):
        self.args, self.config = args, load_params(args.params)
        self.device = setup(self.config.compute)
        self.settings = {name: self._sized(self.config.segmenters[name]) for name in args.segmenters}
        self.own, self.partner = args.segmenters[0], args.segmenters[-1]
        self.size = self.settings[self.own].base.image_size
        dataset = read_dataset(args.train, splits=["train", "val"])
        self.dataset, self.structures, self.val = dataset, dataset.structures, dataset.split("val")
        self.augmentation = self.config.augment if args.augment == "standard" else self.config.strong_augment

    def _sized(self, settings):
        if not self.args.image_size:
            return settings
        base = settings.base.model_copy(update={"image_size": self.args.image_size})
        return settings.model_copy(update={"base": base})

    def _built(self, name: str, seed: int):
        settings, base = self.settings[name], self.args.out / f"bases/{name}-{self.size}"
        kind = kind_named(settings.kind)
        if not base.exists():
            kind.save_base(base, settings, *([self.config.seed] if settings.kind == "sam" else []))
        torch.manual_seed(seed)
        return kind.build(base, settings, len(self.structures)).to(memory_format=torch.channels_last)

    def _others(self, labels: set[str], method) -> UnlabelledImages:
        if method.method == "pseudo":
            cases = [case for case in read_dataset(self.args.pseudo).cases if case.mask is not None]
            masks = stack_masks(cases, self.size)
        else:
            cases = [case for case in read_images(self.args.train, ["train"]) if case.id not in labels]
            masks = None
        images = np.stack([letterbox(case.image, self.size)[0] for case in cases])
        return UnlabelledImages(images, masks, self.config.augment, self.config.strong_augment)

    def _method(self, text: str):
        asked = yaml.safe_load(text)
        asked = {"method": asked} if isinstance(asked, str) else asked
        if asked["method"] == "cross_pseudo":
            asked = {"networks": [self.own, self.partner], "partner_seed": 1} | asked
        return TypeAdapter(UnlabelledUse).validate_python(asked)

    def about(self, n: int, replicate: int, steps: int, text: str) -> dict:
        """By what a training's row is known."""
        return {
            "segmenters": self.args.segmenters,
            "labels": n,
            "replicate": replicate,
            "method": text,
            "steps": steps,
            "batch": self.args.batch or self.settings[self.own].batch,
            "image_size": self.size,
            "augment": self.args.augment,
        }

    def scores(self, n: int, replicate: int, steps: int, text: str) -> dict[str, float]:
        """Means over the val cases after one training, and its processor seconds."""
        cases = label_subset(self.dataset, n, replicate, self.config.seed)
        pool = ImagePool(stack_images(cases, self.size), stack_masks(cases, self.size), self.augmentation)
        seed = seeds.derive(self.config.seed, "finetune", n, replicate)
        objective = Segmentation(self._built(self.own, seed), pool, len(self.structures), lambda step: range(n))
        if text != "supervised":
            method = self._method(text)
            objective = semi_supervised(
                objective, self._others({case.id for case in cases}, method), method,
                steps=steps, names=names(self.structures), key="--methods",
                partner=lambda: self._built(self.partner, seed + 1),
            )  # fmt: skip
        recipe = replace(Recipe.of(self.settings[self.own]), steps=steps)
        recipe = replace(recipe, batch=self.args.batch or recipe.batch)
        start = time.process_time()
        network = train(objective, recipe, seed=seed, device=self.device)
        seconds = time.process_time() - start
        network = network if text == "supervised" else objective.segmenter()
        scores = scores_of(network.eval(), self.val, self.size, self.structures, self.config.task)
        return {**scores, "cases": len(self.val), "cpu_s": round(seconds)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--params", type=Path, default=Path("params.yaml"))
    parser.add_argument("--train", type=Path, required=True)
    parser.add_argument("--segmenters", nargs="+", required=True)
    parser.add_argument("--methods", nargs="+", default=["supervised"], help="names, or mappings with options")
    parser.add_argument("--labels", type=int, nargs="+", default=[10])
    parser.add_argument("--replicates", type=int, nargs="+", default=[0])
    parser.add_argument("--pseudo", type=Path)
    parser.add_argument("--steps", type=int, nargs="+", default=[300])
    parser.add_argument("--batch", type=int)
    parser.add_argument("--image-size", type=int)
    parser.add_argument("--augment", choices=("standard", "strong"), default="standard", help="of the labelled images")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    rows = args.out / "rows.jsonl"
    done = [json.loads(line) for line in rows.read_text().splitlines()] if rows.exists() else []
    trainings = Trainings(args)
    for asked in product(args.labels, args.replicates, args.steps, args.methods):
        about = trainings.about(*asked)
        if not any(about.items() <= row.items() for row in done):
            row = json.dumps(about | trainings.scores(*asked))
            print(row, flush=True)
            with rows.open("a") as file:
                print(row, file=file)


if __name__ == "__main__":
    main()
