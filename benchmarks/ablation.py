"""Ablations of the generator under the strict label budget: what each ingredient is worth, paired over replicates.

    python -m benchmarks.ablation --out .scratch/ablation --labels 20 --replicates 0 1 2 --cells base pseudo_mask

needs the prepared cohorts of the preset hc18 (``dvc repro prepare``). A cell trains a filter and a generator on n
labels, samples, curates, and measures the set with the instrument: obedience and its ceiling, and KID against real
test images between that of real train images and that of the held-out cohort. Promptless segmenters are then trained
on real + curated synthetic cases; their Dice is at model resolution, on val, test and held out. The cells ``real`` and
``self_training`` (real + pseudo-labelled real images) have no generator. Finished cells are kept; ``--table`` prints
them.
"""

import argparse
import json
import statistics
from pathlib import Path

from pipeline.config.params import Config, View, load_params
from pipeline.run import files
from pipeline.run.resume import SOURCE
from pipeline.run.stage import execute

LIGHT = {
    "conditioned": False, "probability": 1.0, "rotate_deg": 8, "scale": 0.08, "aspect": 0.0, "shift": 0.04,
    "brightness": 0.0, "contrast": 0.0, "gamma": 0.0,
}  # fmt: skip
"""Augmentation the network is not told about."""

CELLS: dict[str, dict] = {
    "base": {"diffusion": {"unlabelled": "none", "augment": LIGHT}},
    "null_mask": {"diffusion": {"unlabelled": "null_mask", "augment": LIGHT}},
    "pseudo_mask": {"diffusion": {"augment": LIGHT}},
    "augmented": {},
    "told_only": {"diffusion": {"unlabelled": "none"}},
    "shape_model": {"sample": {"masks": {"parent": 0.0, "shape_model": 1.0}}},
    "unguided": {"sample": {"guidance": 1.0}},
    "guided_2": {"sample": {"guidance": 2.0}},
}
"""What each cell changes of the preset, which is the cell ``augmented``: pseudo-masks and told augmentation."""

WITHOUT_GENERATOR = ("real", "self_training")
RATIO = 4
SEGMENTER_STEPS = 300


def merged(config: Config, change: dict) -> Config:
    def merge(base: dict, extra: dict) -> dict:
        if unknown := set(extra) - set(base):
            raise ValueError(f"no parameter {', '.join(sorted(unknown))}")
        return {k: merge(v, extra[k]) if isinstance(extra.get(k), dict) else extra.get(k, v) for k, v in base.items()}

    return Config.model_validate_json(json.dumps(merge(config.model_dump(mode="json"), change)), strict=True)


class Runner:
    """Runs stages by hand, each once: an output that is there is not made again."""

    def __init__(self, config: Config, root: Path, train: Path, held_out: Path):
        self.config, self.root, self.train, self.held_out = config, root, train, held_out
        made_by = {"digest": files.digest([SOURCE, train, held_out], config.model_dump(mode="json"))}
        record = root / "made_by.json"
        if record.exists() and files.read_json(record, "") != made_by:
            raise SystemExit(f"{root}: made with other code, data or parameters; name another --out or remove it")
        files.write_json(record, made_by)

    def stage(self, module: str, config: Config, out: Path, **args) -> Path:
        import importlib

        if not out.exists():
            stage = importlib.import_module(f"pipeline.{module}")
            execute(stage.run, View(config, stage.PARAMS), {**args, "out": out})
        return out

    def instrument(self) -> Path:
        return self.stage("train_instrument", self.config, self.root / "instrument", train=self.train)

    def unlabelled(self, n: int, r: int) -> Path:
        cell = {"train": self.train, "labels": n, "replicate": r}
        filter_ = self.stage("train_filter", self.config, self.root / f"filter-{n}-{r}", **cell)
        out = self.root / f"unlabelled-{n}-{r}"
        config = merged(self.config, {"diffusion": {"unlabelled": "pseudo_mask"}})
        return self.stage("pseudo_label", config, out, train=self.train, filter=filter_)

    def synthetic(self, name: str, n: int, r: int) -> tuple[Path, Path]:
        """The sampled set of a cell, and the curated one."""
        config = merged(self.config, CELLS[name])
        unlabelled = self.unlabelled(n, r)
        if config.diffusion.unlabelled == "null_mask":
            out = self.root / f"null-{n}-{r}"
            filter_ = self.root / f"filter-{n}-{r}"
            unlabelled = self.stage("pseudo_label", config, out, train=self.train, filter=filter_)
        cell = {"train": self.train, "labels": n, "replicate": r}
        trained_as = json.dumps(config.diffusion.model_dump(mode="json"), sort_keys=True)
        model = self.root / f"diffusion-{n}-{r}-{files.digest([], trained_as)[:12]}"
        self.stage("train_diffusion", config, model, unlabelled=unlabelled, live=None, **cell)
        sampled = self.root / f"synthetic-{n}-{r}-{name}"
        variety = self.root / f"variety-{n}-{r}-{name}"
        self.stage("sample", config, sampled, diffusion=model, masks=Path("data/masks"), variety=variety, **cell)
        curated = self.root / f"curated-{n}-{r}-{name}"
        filter_ = self.root / f"filter-{n}-{r}"
        made = {"synthetic": sampled, "train": self.train, "unlabelled": unlabelled}
        return sampled, self.stage("curate", config, curated, filter=filter_, **made)


def set_quality(runner: Runner, synthetic: Path) -> dict:
    """Obedience, its ceiling, and KID against the test split, at equal n."""
    import numpy as np
    import torch

    from pipeline.data.dataset import read_dataset
    from pipeline.data.stacking import stack_images, stack_masks
    from pipeline.networks.small_unet import bottleneck, load_unet
    from pipeline.tasks.segmentation.inference import class_map, dice, probabilities

    network, config = load_unet(runner.instrument(), "instrument", "cpu")
    size = config["image_size"]
    real, held_out = read_dataset(runner.train), read_dataset(runner.held_out)
    generated = read_dataset(synthetic)

    @torch.inference_mode()
    def raw(cases) -> np.ndarray:
        return bottleneck(network, torch.from_numpy(stack_images(cases, size))).numpy()

    def obedience(cases) -> float:
        maps = probabilities(network, stack_images(cases, size), "cpu")
        pairs = zip(maps, stack_masks(cases, size), strict=True)
        return float(np.mean([dice(class_map(p), mask, real.n_structures).mean() for p, mask in pairs]))

    train = raw(real.split("train"))
    mean, std = train.mean(axis=0), train.std(axis=0) + 1e-6
    test, far, made = ((raw(cases) - mean) / std for cases in (real.split("test"), held_out.cases, generated.cases))
    train = (train - mean) / std
    n = min(len(far), len(made), len(train))
    rng = np.random.default_rng(0)

    def draws(features) -> list[float]:
        return [kid(features[rng.permutation(len(features))[:n]], test) for _ in range(40)]

    floor, synthetic_kid, far_kid = draws(train), draws(made), draws(far)
    return {
        "obedience": obedience(generated.cases),
        "ceiling": obedience(real.split("val", "test")),
        "kid": float(np.mean(synthetic_kid)),
        "kid_held_out": float(np.mean(far_kid)),
        "kid_real": [float(q) for q in np.quantile(floor, [0.025, 0.5, 0.975])],
        "kid_n": n,
    }


def kid(a, b) -> float:
    """Unbiased squared MMD with KID's cubic kernel (Binkowski et al. 2018) of features (N, D) and (M, D)."""

    def kernel(x, y):
        return (x @ y.T / x.shape[1] + 1) ** 3

    m, n = len(a), len(b)
    within = (kernel(a, a).sum() - kernel(a, a).trace()) / (m * (m - 1))
    within += (kernel(b, b).sum() - kernel(b, b).trace()) / (n * (n - 1))
    return float(within - 2 * kernel(a, b).mean())


def dice_of(runner: Runner, kind: str, n: int, r: int, extra: list, ratio: float) -> dict[str, float]:
    """Mean Dice at model resolution of a promptless segmenter trained on n labels and ``extra`` cases."""
    import torch

    from pipeline.arms.pool import training_pool
    from pipeline.config.arms import Arm
    from pipeline.data.dataset import read_dataset
    from pipeline.data.labels import label_subset
    from pipeline.data.stacking import stack_images, stack_masks
    from pipeline.learning.recipe import Recipe
    from pipeline.learning.segmentation import ImagePool, fit
    from pipeline.networks.sam.checkpoint import build_sam
    from pipeline.networks.small_unet import build_unet
    from pipeline.run import seeds
    from pipeline.run.compute import setup
    from pipeline.tasks.segmentation.inference import class_map, dice, probabilities

    config = runner.config
    device, settings = setup(config.compute), config.segmenters["sam"]
    real = read_dataset(runner.train)
    seed = seeds.derive(config.seed, "finetune", n, r)
    arm = Arm(extra="synthetic", ratio=ratio, curated=True) if extra else Arm(extra="none", ratio=0)
    cases = label_subset(real.cases, n, r, config.seed)
    size = settings.base.image_size
    pool = training_pool("ablation", arm, cases, extra, size, config.warp, seed)
    torch.manual_seed(seed)
    if kind == "sam":
        network = build_sam(Path("models/base/sam"), settings, real.n_structures)
    else:
        network = build_unet(config.filter.channels, real.n_structures)
    recipe = Recipe(
        steps=SEGMENTER_STEPS,
        batch=16,
        learning_rate=settings.learning_rate if kind == "sam" else config.filter.learning_rate,
        weight_decay=settings.weight_decay if kind == "sam" else 1e-4,
        warmup_steps=settings.warmup_steps,
    )
    images = ImagePool(*pool.stacked(), config.augment)
    fit(network, images, recipe, n_structures=real.n_structures, seed=seed, device=device)
    found = {}
    groups = {"val": real.split("val"), "test": real.split("test"), "held_out": read_dataset(runner.held_out).cases}
    for name, group in groups.items():
        maps = probabilities(network, stack_images(group, size), device)
        pairs = zip(maps, stack_masks(group, size), strict=True)
        scores = [float(dice(class_map(p), mask, real.n_structures).mean()) for p, mask in pairs]
        found[name] = statistics.mean(scores)
    return found


def run_cell(runner: Runner, name: str, n: int, r: int, segmenters: list[str], ratio: float) -> None:
    from pipeline.data.dataset import read_dataset

    path = runner.root / f"cell-{n}-{r}-{name}-x{ratio:g}.json"
    result = files.read_json(path, "") if path.exists() else {"cell": name, "labels": n, "replicate": r, "ratio": ratio}
    extra: list = []
    if name == "self_training":
        extra = [case for case in read_dataset(runner.unlabelled(n, r)).cases if case.mask is not None]
    elif name not in WITHOUT_GENERATOR:
        sampled, curated = runner.synthetic(name, n, r)
        if "quality" not in result:
            result["quality"] = set_quality(runner, sampled)
            files.write_json(path, result)
        extra = read_dataset(curated).cases
    result["extra_available"] = len(extra)
    for kind in segmenters:
        if kind not in result:
            result[kind] = dice_of(runner, kind, n, r, extra, ratio)
            files.write_json(path, result)


def table(root: Path) -> str:
    """One line a cell and measure: mean and standard deviation over replicates, and the paired gain over real."""
    cells = [json.loads(path.read_text()) for path in sorted(root.glob("cell-*.json"))]
    lines = ["labels cell ratio measure n mean sd gain_over_real gain_sd"]
    real = {(one["labels"], one["replicate"]): one for one in cells if one["cell"] == "real"}
    keys = sorted({(one["labels"], one["cell"], one["ratio"]) for one in cells})
    for labels, name, ratio in keys:
        group = [one for one in cells if (one["labels"], one["cell"], one["ratio"]) == (labels, name, ratio)]
        measures = {f"{kind}.{where}" for one in group for kind in ("unet", "sam") for where in one.get(kind, {})}
        measures |= {f"quality.{key}" for one in group for key in one.get("quality", {}) if key != "kid_real"}
        for measure in sorted(measures):
            kind, key = measure.split(".")
            values = [one[kind][key] for one in group if kind in one]
            gains = [
                one[kind][key] - real[labels, one["replicate"]][kind][key]
                for one in group
                if kind in one and name != "real" and kind in real.get((labels, one["replicate"]), {})
            ]
            row = [labels, name, ratio, measure, len(values), *_spread(values), *_spread(gains)]
            lines.append(" ".join(map(str, row)))
    return "\n".join(lines)


def _spread(values: list[float]) -> tuple[str, str]:
    if not values:
        return "-", "-"
    return f"{statistics.mean(values):.4f}", f"{statistics.stdev(values):.4f}" if len(values) > 1 else "-"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--params", type=Path, default=Path("params.yaml"))
    parser.add_argument("--train", type=Path, default=Path("data/cohorts/train/hc18"))
    parser.add_argument("--held-out", type=Path, default=Path("data/cohorts/held_out/spanish"))
    parser.add_argument("--out", type=Path, default=Path(".scratch/ablation"))
    parser.add_argument("--labels", type=int, nargs="+", default=[20])
    parser.add_argument("--replicates", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--cells", nargs="+", default=["real", "base"], choices=[*CELLS, *WITHOUT_GENERATOR])
    parser.add_argument("--segmenters", nargs="*", default=["unet"], choices=["unet", "sam"])
    parser.add_argument("--ratio", type=float, default=RATIO)
    parser.add_argument("--steps", type=int, help="training steps of the generator, in place of diffusion.steps")
    parser.add_argument("--table", action="store_true", help="print the finished cells and stop")
    args = parser.parse_args()
    if not args.table:
        config = load_params(args.params)
        if args.steps:
            config = merged(config, {"diffusion": {"steps": args.steps}})
        runner = Runner(config, args.out, args.train, args.held_out)
        for r in args.replicates:
            for n in args.labels:
                for name in args.cells:
                    run_cell(runner, name, n, r, args.segmenters, args.ratio)
                    print(f"done: {name}, {n} labels, replicate {r}", flush=True)
    print(table(args.out))


if __name__ == "__main__":
    main()
