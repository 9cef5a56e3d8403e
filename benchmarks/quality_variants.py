"""Which score of a synthetic set foretells what the set does for training?

    python -m benchmarks.quality_variants --train data/cohorts/train/hc18 --held-out data/cohorts/held_out/spanish \\
        --foreign data/cohorts/foreign/psfhs --evaluation-network models/evaluation_network \\
        --unlabelled data/unlabelled/40-0 --models 1600=models/diffusion/40-0 800=... 300=... 100=... --labels 40

Cheap variants of one generator: checkpoints (``--models steps=folder``), sampler steps, guidance, blur, noise, shuffled
and displaced masks, few images, copies of the labels. Each set is scored by the stage `score`, and a small U-Net is
trained on the set alone and on the n labels with the set, for the same steps, and tested on the unseen
patients of the training cohort and on a held-out cohort. Spearman's rank correlation of each score's goodness with
Dice over the variants, and a 95 % bootstrap interval over them: exploratory, many scores on one cohort.
"""

import argparse
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from scipy import ndimage
from scipy.stats import spearmanr

from pipeline import score
from pipeline.arms.assembly import derangement
from pipeline.config.params import View, load_params
from pipeline.data.case import Case
from pipeline.data.dataset import read_dataset
from pipeline.data.labels import label_subset
from pipeline.data.stacking import stack_images, stack_masks
from pipeline.data.writer import write_dataset
from pipeline.diffusion.backends import open_generator
from pipeline.diffusion.masks import MaskSource, RepeatedMasks
from pipeline.diffusion.sampling import synthetic_cases
from pipeline.learning.recipe import Recipe
from pipeline.learning.segmentation import ImagePool, fit
from pipeline.networks.small_unet import build_unet
from pipeline.quality.measures import read_measures
from pipeline.run import files, seeds
from pipeline.run.compute import setup
from pipeline.tasks.segmentation.inference import mean_dice

LOWER_IS_BETTER = (
    "fid",
    "kid",
    "two_sample_lite0",
    "radiomics",
    "imprint",
    "boundary",
    "copies",
    "membership",
    "ms_ssim",
)
RESAMPLES = 2000
VARIETY = 4, 4
"""Masks, and images of each."""
CHANNELS = (8, 16, 24, 32, 48)
"""Of the U-Net that is trained on every variant."""


def changed(case: Case, image: np.ndarray) -> Case:
    return replace(case, image=np.clip(np.rint(image), 0, 255).astype(np.uint8))


def blurred(sigma: float) -> Callable:
    return lambda cases, _: [changed(c, ndimage.gaussian_filter(c.image.astype(float), sigma)) for c in cases]


def noisy(level: float) -> Callable:
    def change(cases, _):
        rngs = [np.random.default_rng(i) for i in range(len(cases))]
        return [changed(c, c.image + rng.normal(0, level, c.image.shape)) for c, rng in zip(cases, rngs, strict=True)]

    return change


def displaced(pixels: int) -> Callable:
    """Masks moved sideways; what leaves the frame is lost."""

    def move(mask: np.ndarray) -> np.ndarray:
        moved = np.zeros_like(mask)
        moved[:, pixels:] = mask[:, :-pixels]
        return moved

    return lambda cases, _: [replace(case, mask=move(case.mask)) for case in cases]


def shuffled(share: float) -> Callable:
    """Masks of other images of the same size for a share of the set."""

    def change(cases, _):
        count = round(share * len(cases))
        own = derangement(count, 0, "variant")
        masks = [case.mask for case in cases]
        for i in range(count):
            if masks[own[i]].shape == cases[i].image.shape:
                cases[i] = replace(cases[i], mask=masks[own[i]])
        return cases

    return change


def repeated(different: int) -> Callable:
    """Modes dropped: only the first few images, again and again."""
    return lambda cases, _: [replace(cases[i % different], id=case.id, seed=case.seed) for i, case in enumerate(cases)]


def copies(cases: list[Case], labels: list[Case]) -> list[Case]:
    """The labels themselves, mirrored."""
    own = [labels[i % len(labels)] for i in range(len(cases))]
    return [
        replace(case, image=label.image[:, ::-1].copy(), mask=label.mask[:, ::-1].copy(), parent=label.id)
        for case, label in zip(cases, own, strict=True)
    ]


def as_is(cases: list[Case], _) -> list[Case]:
    return cases


def variants(models: list[str]) -> dict[str, tuple[str, dict, Callable]]:
    """Name → (model, changes of the section ``sample``, change of the sampled cases)."""
    best = models[0]
    return (
        {f"model_{name}": (name, {}, as_is) for name in models}
        | {f"sampler_{n}": (best, {"steps": n}, as_is) for n in (3, 6)}
        | {f"guidance_{g}": (best, {"guidance": float(g)}, as_is) for g in (1, 3)}
        | {f"blur_{s}": (best, {}, blurred(s)) for s in (0.7, 1.5)}
        | {f"noise_{level}": (best, {}, noisy(level)) for level in (10, 30)}
        | {f"shuffled_{share}": (best, {}, shuffled(share)) for share in (0.3, 0.6, 1.0)}
        | {f"displaced_{px}": (best, {}, displaced(px)) for px in (3, 6)}
        | {f"repeated_{k}": (best, {}, repeated(k)) for k in (2, 6)}
        | {"copies": (best, {}, copies)}
    )


class Runner:
    def __init__(self, args: argparse.Namespace):
        self.args, self.config = args, load_params(args.params)
        self.device = setup(self.config.compute)
        self.models = dict(one.split("=", 1) for one in args.models)
        self.real = read_dataset(args.train, ["train", "val", "test"])
        self.labels = label_subset(self.real, args.labels, args.replicate, self.config.seed)
        self.size = self.config.usefulness.image_size
        groups = {"unseen": self.real.split("val", "test"), "held_out": read_dataset(args.held_out).cases}
        self.tests = {
            name: (stack_images(cases, self.size), stack_masks(cases, self.size)) for name, cases in groups.items()
        }

    def sampled(self, model: str, changes: dict) -> tuple[list[Case], list[Case]]:
        """A set, and a small one of several images of a mask; kept in memory for variants of one sampler."""
        key = model + json.dumps(changes, sort_keys=True)
        if key != getattr(self, "_key", None):
            generator = open_generator(Path(self.models[model]), self.device)
            settings = self.config.sample.model_copy(update=changes)
            source = MaskSource(
                self.labels, self.real.n_structures, generator.image_size, settings.masks, self.config.warp, 0
            )
            times = VARIETY[1]
            self._sets = [
                [
                    case
                    for start in range(0, count, settings.chunk_size)
                    for case in synthetic_cases(
                        generator, masks, range(start, min(start + settings.chunk_size, count)), settings, seed
                    )
                ]
                for masks, count, seed in (
                    (source, self.args.count, 0),
                    (RepeatedMasks(source, times), VARIETY[0] * times, 1),
                )
            ]
            self._key = key
        return [list(cases) for cases in self._sets]

    def scores(self, folder: Path, cases: list[Case], several: list[Case]) -> dict[str, float]:
        index = {"role": "synthetic", "structures": self.real.structures, "labels": [case.id for case in self.labels]}
        trained_on = files.read_json(Path(self.models[next(iter(self.models))]) / "training.json", "")["trained_on"]
        origin = {
            "cohort": self.labels[0].cohort,
            "replicate": self.args.replicate,
            "unlabelled": trained_on["unlabelled"],
        }
        for name, some in (("set", cases), ("variety", several)):
            files.remove(folder / name)
            write_dataset(folder / name, some, **index, provenance=origin)
        arguments = {"synthetic": folder / "set", "variety": folder / "variety", "train": self.args.train}
        arguments |= {"unlabelled": self.args.unlabelled, "foreign": self.args.foreign}
        outputs = {"out": folder / "quality.json", "samples": folder / "samples.csv"}
        config = self.config.model_copy(update={"score": self.config.score.model_copy(update={"resamples": 0})})
        score.run(View(config, score.PARAMS), **arguments, evaluation_network=self.args.evaluation_network, **outputs)
        return {
            one.name if one.view in (None, "domain") else f"{one.name}_{one.view}": one.value
            for one in read_measures(outputs["out"], "")
            if one.name != "two_sample_reference"
        }

    def dice(self, cases: list[Case], with_labels: bool, seed: int) -> dict[str, float]:
        settings = self.config.usefulness
        pool = [*self.labels, *cases] if with_labels else cases
        torch.manual_seed(seeds.derive(seed, "variant"))
        network = fit(
            build_unet(CHANNELS, self.real.n_structures),
            ImagePool(stack_images(pool, self.size), stack_masks(pool, self.size), self.config.augment),
            Recipe(self.args.steps, settings.batch, settings.learning_rate),
            n_structures=self.real.n_structures,
            seed=seed,
            device=self.device,
        )
        return {
            name: float(mean_dice(network, *stacks, self.real.n_structures, self.device).mean())
            for name, stacks in self.tests.items()
        }

    def run(self, name: str, model: str, changes: dict, change: Callable) -> None:
        path = self.args.out / f"{name}.json"
        if path.exists():
            return
        cases, several = self.sampled(model, changes)
        cases = [case for case in change(cases, self.labels) if case.mask.any()]
        result = {"variant": name, "scores": self.scores(self.args.out / name, cases, change(several, self.labels))}
        for kind, with_labels in (("alone", False), ("with_labels", True)):
            found = [self.dice(cases, with_labels, seed) for seed in range(self.args.seeds)]
            result[kind] = {where: float(np.mean([one[where] for one in found])) for where in found[0]}
        files.write_json(path, result)
        print(f"done: {name}", flush=True)


def table(folder: Path) -> str:
    """Every variant's scores and Dice, and the rank correlation of each score with each Dice."""
    results = [json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))]
    names = [n for n in results[0]["scores"] if all(r["scores"].get(n) is not None for r in results)]
    targets = [(kind, where) for kind in ("alone", "with_labels") for where in results[0][kind]]
    lines = ["variant " + " ".join([*names, *map("/".join, targets)])]
    lines += [
        " ".join([r["variant"], *(f"{r['scores'][n]:.3f}" for n in names), *(f"{r[k][w]:.4f}" for k, w in targets)])
        for r in results
    ]
    lines.append(f"\nSpearman's rho with Dice over {len(results)} variants [95 % interval]")
    rng = np.random.default_rng(0)
    draws = [rng.integers(len(results), size=len(results)) for _ in range(RESAMPLES)]
    for name in names:
        sign = -1 if name.split("_")[0] in LOWER_IS_BETTER or name in LOWER_IS_BETTER else 1
        goodness = sign * np.array([r["scores"][name] for r in results])
        cells = []
        for kind, where in targets:
            dice = np.array([r[kind][where] for r in results])
            found = [
                spearmanr(goodness[d], dice[d]).statistic for d in draws if np.ptp(goodness[d]) and np.ptp(dice[d])
            ]
            low, high = np.quantile(found, [0.025, 0.975]) if found else (np.nan, np.nan)
            rho = spearmanr(goodness, dice).statistic if np.ptp(goodness) else np.nan
            cells.append(f"{rho:+.2f} [{low:+.2f}, {high:+.2f}]")
        lines.append(f"{name}: " + " | ".join(cells))
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--params", type=Path, default=Path("params.yaml"))
    for name in ("train", "held-out", "foreign", "evaluation-network", "unlabelled"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--models", nargs="+", required=True, help="name=folder, the fullest training first")
    parser.add_argument("--labels", type=int, required=True)
    parser.add_argument("--replicate", type=int, default=0)
    parser.add_argument("--count", type=int, default=64)
    parser.add_argument("--steps", type=int, default=100, help="training steps of each U-Net")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path(".scratch/quality_variants"))
    parser.add_argument("--table", action="store_true", help="print the finished variants and stop")
    args = parser.parse_args()
    if not args.table:
        args.out.mkdir(parents=True, exist_ok=True)
        runner = Runner(args)
        for name, (model, changes, change) in variants(list(runner.models)).items():
            runner.run(name, model, changes, change)
    print(table(args.out))


if __name__ == "__main__":
    main()
