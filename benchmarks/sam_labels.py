"""The compact SAM beside a small U-Net on real cohorts, promptless, for equal time: Dice, HD95, circumference error.

    python -m benchmarks.sam_labels --base models/sam --train data/cohorts/train/hc18 \
        --held-out data/cohorts/held_out/spanish --labels 10 50 220 --replicates 0 1 2

Every cell trains on n labels alone. The U-Net (``filter.channels``) takes ``--unet-steps``; SAM takes as many steps as
fit in the same processor time, measured on a few steps of both before. ``--scratch`` adds SAM from random weights.
Scores are per case at native resolution; printed per cell and, at the end, as means over replicates with the least and
the most.
"""

import argparse
import json
import statistics
import time
from pathlib import Path

import numpy as np
import torch

from pipeline.core import seeds
from pipeline.core.dataset import read_dataset
from pipeline.core.geometry import stack_images, stack_masks
from pipeline.core.labels import label_subset
from pipeline.core.params import load_params
from pipeline.segmentation.checkpoint import build_segmenter
from pipeline.segmentation.compact_sam import build_compact_sam
from pipeline.segmentation.inference import predict_native
from pipeline.segmentation.scores import score_case
from pipeline.segmentation.training import ImagePool, Recipe, fit
from pipeline.segmentation.tuning import choose_trained
from pipeline.segmentation.unet import build_unet

CPU = torch.device("cpu")
METRICS = ("dice", "hd95_mm", "hd95_px", "hc_error_mm", "hc_error_percent")
TRIAL = 6


def build(kind: str, config, base: Path):
    if kind == "unet":
        return build_unet(config.filter.channels, 1)
    if kind == "sam":
        return build_segmenter(base, config.sam, config.segmenter, 1)
    network = build_compact_sam(config.sam.compact, config.sam.image_size, 1)
    choose_trained(network, "full", 1)
    return network


def recipe_of(kind: str, config, steps: int) -> Recipe:
    section = config.filter if kind == "unet" else config.segmenter
    return Recipe(**{**vars(Recipe.of(section)), "steps": steps})


def seconds_per_step(kind: str, config, base: Path, pool: ImagePool) -> float:
    """Processor time of a step, from a few; what comes before the first one is not counted."""
    marks: list[float] = []
    fit(build(kind, config, base), pool, recipe_of(kind, config, TRIAL), n_structures=1, seed=0, device=CPU,
        on_step=lambda step, loss: marks.append(time.process_time()))  # fmt: skip
    return (marks[-1] - marks[0]) / (TRIAL - 1)


def scores_of(network, cases, size: int) -> dict[str, float | None]:
    found = [score_case(predicted == 1, case.mask == 1, case.pixel_mm)
             for predicted, case in zip(predict_native(network, cases, size, CPU), cases, strict=True)]  # fmt: skip
    means = {}
    for name in METRICS:
        known = [value for one in found if (value := getattr(one, name)) is not None]
        means[name] = round(float(np.mean(known)), 4) if known else None
    return means


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--params", type=Path, default=Path("params.yaml"))
    parser.add_argument("--base", type=Path, default=Path("models/sam"))
    parser.add_argument("--train", type=Path, required=True)
    parser.add_argument("--held-out", type=Path, nargs="+", required=True)
    parser.add_argument("--labels", type=int, nargs="+", default=[10, 50, 220])
    parser.add_argument("--replicates", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--unet-steps", type=int, default=300)
    parser.add_argument("--scratch", action="store_true")
    args = parser.parse_args()
    config = load_params(args.params)
    torch.set_num_threads(config.compute.threads)
    dataset = read_dataset(args.train, splits=["train", "test"])
    cohorts = {args.train.name: dataset.split("test")}
    cohorts |= {path.name: read_dataset(path, splits=["test"]).cases for path in args.held_out}
    size = config.sam.image_size
    kinds = ["unet", "sam", *(["sam_scratch"] if args.scratch else [])]

    def pool_of(n: int, replicate: int) -> ImagePool:
        cases = label_subset(dataset.cases, n, replicate, config.seed)
        return ImagePool(stack_images(cases, size), stack_masks(cases, size), config.augment)

    trial = pool_of(args.labels[0], 0)
    cost = {kind: seconds_per_step(kind, config, args.base, trial) for kind in kinds}
    steps = {kind: round(args.unet_steps * cost["unet"] / cost[kind]) for kind in kinds}
    print(json.dumps({"seconds_per_step": {k: round(v, 3) for k, v in cost.items()}, "steps": steps}), flush=True)
    table: dict[tuple, list[dict]] = {}
    for n in args.labels:
        for kind in kinds:
            for replicate in args.replicates:
                seed = seeds.derive(config.seed, "finetune", n, replicate)
                torch.manual_seed(seed)
                network = build(kind, config, args.base)
                start = time.process_time()
                fit(network, pool_of(n, replicate), recipe_of(kind, config, steps[kind]), n_structures=1, seed=seed,
                    device=CPU)  # fmt: skip
                seconds = time.process_time() - start
                for cohort, cases in cohorts.items():
                    scores = scores_of(network, cases, size)
                    table.setdefault((n, kind, cohort), []).append(scores)
                    cell = {"labels": n, "kind": kind, "replicate": replicate, "cohort": cohort}
                    print(json.dumps({**cell, **scores, "cpu_s": round(seconds)}), flush=True)
    for (n, kind, cohort), cells in table.items():
        summary = {"labels": n, "kind": kind, "cohort": cohort, "replicates": len(cells)}
        for name in METRICS:
            values = [cell[name] for cell in cells if cell[name] is not None]
            if values:
                summary[name] = [round(statistics.mean(values), 4), min(values), max(values)]
        print(json.dumps(summary))


if __name__ == "__main__":
    main()
