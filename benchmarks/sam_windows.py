"""ViT-B at 256 px: attention windows that tile the grid beside the published 14, which is padded to 28.

    python -m benchmarks.sam_windows --train data/cohorts/train/hc18 --labels 50

Time of the encoder forward, and of forward and backward, in turn and in one run. Then what windows change: the same
random weights under either window, a decoder trained on each for equal steps, and their Dice on val and test, with that
of the decoder trained under 14 and used under the tiling window.
"""

import argparse
import copy
import json
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from benchmarks.sam_decoder import STILL, vit_b
from pipeline.data.dataset import read_dataset
from pipeline.data.labels import label_subset
from pipeline.data.stacking import stack_images, stack_masks
from pipeline.features.embeddings import EmbeddingStore
from pipeline.learning.embedding_pool import EmbeddingPool
from pipeline.learning.recipe import Recipe
from pipeline.learning.segmentation import fit
from pipeline.networks.sam.model import Sam
from pipeline.networks.sam.pretrained import at_resolution
from pipeline.networks.sam.tuning import choose_trained
from pipeline.tasks.segmentation.inference import class_map, dice, probabilities

SIZE, BATCH = 256, 4
CPU = torch.device("cpu")


def networks() -> dict[int, Sam]:
    """The same weights with windows of 14 and of the size that tiles a grid of 16."""
    base = vit_b(1024).sam
    found = {}
    for window in (14, None):
        network = Sam(at_resolution(base.config, base.state_dict(), SIZE, window), 1)
        found[network.sam.config.vision_config.window_size] = network.eval()
    return found


def speed(nets: dict[int, Sam], rounds: int) -> dict:
    x = torch.rand(BATCH, 1, SIZE, SIZE, generator=torch.Generator().manual_seed(0)) * 2 - 1
    seconds: dict[tuple[str, int], list[float]] = {}
    for i in range(rounds + 1):
        for window, network in nets.items():
            for kind in ("forward", "both"):
                network.requires_grad_(kind == "both")
                start = time.perf_counter()
                out = network.embed(x)
                if kind == "both":
                    out.square().mean().backward()
                if i:
                    seconds.setdefault((kind, window), []).append(time.perf_counter() - start)
    found = {f"{kind}_s_window_{window}": round(statistics.median(s), 3) for (kind, window), s in seconds.items()}
    small, large = sorted(nets)
    for kind in ("forward", "both"):
        ratios = [a / b for a, b in zip(seconds[kind, small], seconds[kind, large], strict=True)]
        found[f"{kind}_ratio"] = round(statistics.median(ratios), 2)
    return found


def drift(nets: dict[int, Sam], train: Path, labels: int, steps: int, replicates: int) -> list[dict]:
    dataset = read_dataset(train, splits=["train", "val", "test"])
    scored = {name: dataset.split(name) for name in ("val", "test")}
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        stores = {window: EmbeddingStore(Path(folder) / str(window), Path(folder) / "base", network)
                  for window, network in nets.items()}  # fmt: skip
        for r in range(replicates):
            chosen = label_subset(dataset, labels, r, 0)
            for trained_at in nets:
                network = copy.deepcopy(nets[trained_at])
                choose_trained(network, "decoder")
                pool = EmbeddingPool.of(stores[trained_at], chosen, 1, STILL, 0)
                fit(network, pool, Recipe(steps, 8, 5e-4), n_structures=1, seed=r, device=CPU)
                for used_at in nets:
                    row = {"replicate": r, "trained_at": trained_at, "used_at": used_at}
                    for name, cases in scored.items():
                        images, masks = stack_images(cases, SIZE), stack_masks(cases, SIZE)
                        maps = probabilities(network, images, CPU, stores[used_at].embeddings(images))
                        scores = [dice(class_map(p), mask, 1)[0] for p, mask in zip(maps, masks, strict=True)]
                        row[name] = round(100 * float(np.mean(scores)), 2)
                    rows.append(row)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train", type=Path)
    parser.add_argument("--labels", type=int, default=50)
    parser.add_argument("--steps", type=int, default=150)
    parser.add_argument("--replicates", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    nets = networks()
    print(json.dumps(speed(nets, args.rounds)))
    if args.train:
        for row in drift(nets, args.train, args.labels, args.steps, args.replicates):
            print(json.dumps(row))


if __name__ == "__main__":
    main()
