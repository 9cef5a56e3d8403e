"""Decoder fine-tuning of ViT-B from cached embeddings, beside the usual loop that encodes every image in every step.

    python -m benchmarks.sam_decoder --size 1024 --images 8 --steps 6
    python -m benchmarks.sam_decoder --memory

Weights are random, which costs what published ones do. In one run, in turn: one step of the usual loop, one of a bare
loop over embeddings in memory, one of ours over the store on disk; all with batches of one image, the identity view,
the same images in the same order and the same initial weights. Printed are medians, ratios and the largest difference
of losses (single precision; the store is made once in single precision for that). ``--memory`` prints the peak memory
of our loop, in a fresh process each, for stores of growing size.
"""

import argparse
import copy
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from transformers.models.sam.configuration_sam import SamConfig
from transformers.models.sam.modeling_sam import SamModel

from pipeline.config.augmentation import Augment
from pipeline.features.embeddings import EmbeddingPool, Embeddings, encode, packed
from pipeline.learning.recipe import Recipe, cosine
from pipeline.learning.segmentation import fit, mean_loss, one_hot
from pipeline.networks.sam.model import Sam
from pipeline.networks.sam.pretrained import at_resolution
from pipeline.networks.sam.tuning import choose_trained
from pipeline.run import seeds

STILL = Augment(flip=False, rotate_deg=0, scale=0, shift=0, brightness=0, contrast=0, gamma=0)
RATE, SEED = 1e-4, 0


def vit_b(size: int) -> Sam:
    """ViT-B with random weights of a sensible spread, its decoder to be trained."""
    torch.manual_seed(SEED)
    config = SamConfig()
    model = SamModel(config)
    with torch.no_grad():
        for weight in model.parameters():
            if weight.ndim > 1:
                weight.normal_(0, 0.02)
    network = Sam(at_resolution(config, model.state_dict(), size), 1)
    choose_trained(network, "decoder", 1)
    return network.train()


def examples(count: int, size: int):
    y, x = np.mgrid[:size, :size] / size
    for i in range(count):
        rng = np.random.default_rng(i)
        inside = np.hypot(y - rng.uniform(0.4, 0.6), x - rng.uniform(0.4, 0.6)) < rng.uniform(0.2, 0.35)
        image = np.where(inside, 0.3, -0.3) + rng.normal(0, 0.1, inside.shape)
        yield f"case-{i}", image[None].astype(np.float32).clip(-1, 1), inside.astype(np.uint8)


def order(count: int, steps: int) -> list[int]:
    """The cases `fit` draws."""
    return [
        int(torch.randint(count, (1,), generator=seeds.torch_generator(SEED, "batch", step))) for step in range(steps)
    ]


class PlainLoop:
    """AdamW on the decoder, as `fit` does it, one image a step; ``embedded`` is what the decoder gets, or None."""

    def __init__(self, network: Sam, steps: int):
        self.network, self.steps, self.step, self.losses = network, steps, 0, []
        self.trained = [weight for weight in network.parameters() if weight.requires_grad]
        self.optimizer = torch.optim.AdamW(self.trained, lr=RATE, weight_decay=1e-4, fused=True)

    def __call__(self, image, mask, embedded=None) -> float:
        start = time.perf_counter()
        for group in self.optimizer.param_groups:
            group["lr"] = RATE * cosine(self.step, self.steps, 0)
        if embedded is None:
            with torch.no_grad():
                embedded = self.network.embed(image)
        loss = mean_loss(self.network(None, embedded), one_hot(mask, 1))
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.trained, 1.0)
        self.optimizer.step()
        self.losses.append(float(loss.detach()))
        self.step += 1
        return time.perf_counter() - start


def pool_of(folder: Path, data, size: int) -> EmbeddingPool:
    masks = [[packed(mask)] for _, _, mask in data]
    return EmbeddingPool([Embeddings(folder, "random")], [name for name, *_ in data], masks, size, False)


def compare(size: int, images: int, steps: int) -> dict:
    network = vit_b(size)
    data = list(examples(images, size))
    with tempfile.TemporaryDirectory() as folder:
        found = {}
        for kind in (np.float32, np.float16):
            start = time.perf_counter()
            encode(network, ((name, image) for name, image, _ in data), images, Path(folder) / kind.__name__,
                   base="random", views=1, augmentation=STILL, seed=SEED, device=torch.device("cpu"),
                   dtype=kind)  # fmt: skip
            found["encode_s_per_image"] = (time.perf_counter() - start) / images
        network.train()
        held = [torch.from_numpy(Embeddings(Path(folder) / "float32", "random").read("embedding", name))[None]
                for name, *_ in data]  # fmt: skip
        plain, bare = (PlainLoop(copy.deepcopy(network), steps) for _ in range(2))
        seconds = {"encode_every_step": [], "bare": [], "ours": []}
        marks: list[float] = []
        losses: list[float] = []
        pending = iter(order(images, steps))

        def on_step(step: int, loss: float) -> None:
            # Called after each of our steps: the time since the last mark is ours; then the other two take their turn.
            seconds["ours"].append(time.perf_counter() - marks[-1])
            losses.append(loss)
            i = next(pending)
            image, mask = torch.from_numpy(data[i][1])[None], torch.from_numpy(data[i][2])[None]
            seconds["encode_every_step"].append(plain(image, mask))
            seconds["bare"].append(bare(image, mask, held[i]))
            marks.append(time.perf_counter())

        pool = pool_of(Path(folder) / "float32", data, size)
        marks.append(time.perf_counter())
        recipe = Recipe(steps, 1, RATE, 1e-4, 0)
        options = {"n_structures": 1, "seed": SEED, "device": torch.device("cpu")}
        fit(copy.deepcopy(network), pool, recipe, **options, on_step=on_step)
        half: list[float] = []
        fit(copy.deepcopy(network), pool_of(Path(folder) / "float16", data, size), recipe, **options,
            on_step=lambda step, loss: half.append(loss))  # fmt: skip
    # The first step pays for warming up.
    medians = {name: statistics.median(values[1:]) for name, values in seconds.items()}
    return {
        **{f"{name}_s": round(value, 3) for name, value in (medians | found).items()},
        "speed_up": round(medians["encode_every_step"] / medians["ours"], 1),
        "over_bare": round(medians["ours"] / medians["bare"], 3),
        "loss_difference": max(abs(a - b) for a, b in zip(losses, plain.losses, strict=True)),
        "loss_difference_half_precision": max(abs(a - b) for a, b in zip(half, plain.losses, strict=True)),
        "steps": steps,
    }


def peak_memory(size: int, images: int) -> None:
    """A decoder run over ``images`` different rows, and the peak of this process on stdout."""
    network = vit_b(size)
    data = [(f"case-{i}", None, mask) for i, (_, _, mask) in zip(range(images), _few_masks(size, images), strict=True)]
    channels, grid = 256, size // 16
    with tempfile.TemporaryDirectory() as folder:
        rows = 64
        # One shard under many names, written row by row: making them is not to set the peak.
        first = Path(folder) / "embedding-00000.npy"
        shard = np.lib.format.open_memmap(first, "w+", np.float16, (rows, channels, grid, grid))
        for i in range(rows):
            shard[i] = np.random.default_rng(i).standard_normal(shard.shape[1:], np.float32)
        del shard
        for number in range(1, -(-images // rows)):
            os.link(first, first.with_name(f"embedding-{number:05d}.npy"))
        index = {"base": "random", "views": 1, "rows": rows, "ids": [name for name, *_ in data],
                 "arrays": {"embedding": {"dtype": "float16", "shape": [channels, grid, grid]}}}  # fmt: skip
        (Path(folder) / "index.json").write_text(json.dumps(index))
        fit(network, pool_of(Path(folder), data, size), Recipe(20, 4, RATE), n_structures=1, seed=SEED,
            device=torch.device("cpu"))  # fmt: skip
    print(json.dumps({"images": images, "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1000}))


def _few_masks(size: int, count: int):
    few = list(examples(4, size))
    return (few[i % len(few)] for i in range(count))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=1024)
    parser.add_argument("--images", type=int, default=4)
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--memory", action="store_true")
    parser.add_argument("--peak-of", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.peak_of:
        peak_memory(args.size, args.peak_of)
    elif args.memory:
        for images in (64, 256, 1024):
            command = [sys.executable, "-m", "benchmarks.sam_decoder", "--size", str(args.size), "--peak-of"]
            subprocess.run([*command, str(images)], check=True)
    else:
        print(json.dumps(compare(args.size, args.images, args.steps)))


if __name__ == "__main__":
    main()
