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
import zlib
from pathlib import Path

import numpy as np
import torch
from transformers.models.sam.configuration_sam import SamConfig
from transformers.models.sam.modeling_sam import SamModel

from pipeline.config.augmentation import Augment
from pipeline.data.case import Case
from pipeline.data.stacking import stack_images, stack_masks
from pipeline.features import embeddings
from pipeline.learning.embedding_pool import EmbeddingPool
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
    choose_trained(network, "decoder")
    return network.train()


def examples(count: int, size: int) -> list[Case]:
    """Noisy discs."""
    y, x = np.mgrid[:size, :size] / size
    cases = []
    for i in range(count):
        rng = np.random.default_rng(i)
        inside = np.hypot(y - rng.uniform(0.4, 0.6), x - rng.uniform(0.4, 0.6)) < rng.uniform(0.2, 0.35)
        image = np.where(inside, 166, 89) + rng.normal(0, 13, inside.shape)
        cases.append(Case(f"case-{i}", "", "", image.clip(0, 255).astype(np.uint8), inside.astype(np.uint8)))
    return cases


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


def store_of(folder: str, network: Sam, kind: type) -> embeddings.EmbeddingStore:
    """A store of this kind of number."""
    embeddings.DTYPE = kind
    return embeddings.EmbeddingStore(Path(folder) / kind.__name__, Path(folder) / "base", network)


def compare(size: int, images: int, steps: int) -> dict:
    network = vit_b(size)
    cases = examples(images, size)
    with tempfile.TemporaryDirectory() as folder:
        found, pools = {}, {}
        for kind in (np.float32, np.float16):
            start = time.perf_counter()
            pools[kind] = EmbeddingPool.of(store_of(folder, network, kind), cases, 1, STILL, SEED)
            found["encode_s_per_image"] = (time.perf_counter() - start) / images
        network.train()
        inputs, masks = (torch.from_numpy(make(cases, size)) for make in (stack_images, stack_masks))
        held = torch.from_numpy(pools[np.float32].store.embeddings(inputs.numpy()))
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
            seconds["encode_every_step"].append(plain(inputs[i : i + 1], masks[i : i + 1]))
            seconds["bare"].append(bare(inputs[i : i + 1], masks[i : i + 1], held[i : i + 1]))
            marks.append(time.perf_counter())

        marks.append(time.perf_counter())
        recipe = Recipe(steps, 1, RATE, 1e-4, 0)
        options = {"n_structures": 1, "seed": SEED, "device": torch.device("cpu")}
        fit(copy.deepcopy(network), pools[np.float32], recipe, **options, on_step=on_step)
        half: list[float] = []
        fit(
            copy.deepcopy(network),
            pools[np.float16],
            recipe,
            **options,
            on_step=lambda step, loss: half.append(loss),
        )
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
    """A decoder run over ``images`` different files, and the peak of this process on stdout."""
    network = vit_b(size)
    few = [zlib.compress(np.ascontiguousarray(case.mask).tobytes(), 1) for case in examples(4, size)]
    names = [f"{i:040x}"[::-1] for i in range(images)]
    with tempfile.TemporaryDirectory() as folder:
        store = store_of(folder, network, np.float16)
        # 64 embeddings under many names, written one by one: making them is not to set the peak.
        written = []
        for i, name in enumerate(names):
            path = store._path(name)
            path.parent.mkdir(parents=True, exist_ok=True)
            if i < 64:
                drawn = np.random.default_rng(i).standard_normal((256, size // 16, size // 16), np.float32)
                np.savez(path, embedding=drawn.astype(np.float16))
                written.append(path)
            else:
                os.link(written[i % 64], path)
        pool = EmbeddingPool(store, [[name] for name in names], [[few[i % len(few)]] for i in range(images)])
        fit(network, pool, Recipe(20, 4, RATE), n_structures=1, seed=SEED, device=torch.device("cpu"))
    print(json.dumps({"images": images, "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1000}))


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
