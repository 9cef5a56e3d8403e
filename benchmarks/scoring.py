"""Time and peak memory of the stage `score` on sets of many images.

    python -m benchmarks.scoring --count 1000 --size 256

The sets are simulated phantoms under random flips, grey levels and noise, ``count`` synthetic ones against ``count`` of
the train split, a quarter of that unseen and as many foreign; the evaluation network is untrained and of the preset's
size, which costs what a trained one does.
"""

import argparse
import json
import resource
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from pipeline import score
from pipeline.config.params import View, load_params
from pipeline.data.case import Case
from pipeline.data.structures import Structure
from pipeline.data.writer import write_dataset
from pipeline.networks.small_unet import build_unet, save_unet
from pipeline.simulation import simulate_case

DIFFERENT = 60
STRUCTURES = (Structure("head", "head"),)


def cases(bases: list[Case], count: int, size: int, seed: int, **fields) -> Iterator[Case]:
    for i in range(count):
        rng = np.random.default_rng((seed, i))
        base = bases[rng.integers(len(bases))]
        image, mask = (
            np.asarray(Image.fromarray(array).resize((size, size), kind))
            for array, kind in ((base.image, Image.Resampling.BILINEAR), (base.mask, Image.Resampling.NEAREST))
        )
        if rng.random() < 0.5:
            image, mask = image[:, ::-1], mask[:, ::-1]
        grey = 255 * (image / 255.0) ** rng.uniform(0.7, 1.4) + rng.normal(0, rng.uniform(2, 12), image.shape)
        image = np.clip(np.rint(grey), 0, 255).astype(np.uint8)
        mask = np.ascontiguousarray(mask)
        name = f"{fields.get('split', 'test')}-{seed}-{i:06d}"
        yield replace(base, id=name, patient=name, image=image, mask=mask, pixel_mm=None, hc_mm=None, **fields)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--params", type=Path, default=Path("params.yaml"))
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--size", type=int, default=256)
    args = parser.parse_args()
    config = load_params(args.params)
    bases = [simulate_case("phantom_a", i, seed=3) for i in range(DIFFERENT)]
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        train = [
            *cases(bases, args.count, args.size, 1, split="train"),
            *cases(bases, args.count // 4, args.size, 2, split="test"),
        ]
        labels = [case.id for case in train[: args.count]]
        write_dataset(root / "train", train, role="train", structures=STRUCTURES)
        del train
        origin = {"cohort": "phantom_a", "replicate": 0, "unlabelled": 0}
        made = {"role": "synthetic", "structures": STRUCTURES, "labels": labels, "provenance": origin}
        for name, count in (("synthetic", args.count), ("variety", 16)):
            fields = {"split": "train", "mask_source": "shape_model"}
            write_dataset(root / name, cases(bases, count, args.size, 3, **fields), **made)
        write_dataset(
            root / "foreign",
            cases(bases, args.count // 4, args.size, 4, split="test"),
            role="foreign",
            structures=STRUCTURES,
        )
        write_dataset(root / "unlabelled", [], role="unlabelled", structures=STRUCTURES)
        save_unet(
            root / "evaluation_network",
            "evaluation_network",
            build_unet(config.evaluation_network.channels, 1),
            config.evaluation_network,
            STRUCTURES,
            {},
        )
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        start = time.perf_counter()
        names = ("synthetic", "variety", "train", "unlabelled", "foreign", "evaluation_network")
        score.run(
            View(config, score.PARAMS),
            **{name: root / name for name in names},
            out=root / "quality.json",
            samples=root / "samples.csv",
        )
        found = {
            "count": args.count,
            "size": args.size,
            "seconds": round(time.perf_counter() - start, 1),
            "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000),
            "peak_mb_before": round(before / 1000),
        }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
