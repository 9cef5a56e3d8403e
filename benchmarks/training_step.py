"""A training step of the generator beside a plain diffusers loop over the same U-Net, batch, resolution and precision.

    python -m benchmarks.training_step --train data/cohorts/train/hc18 --cases 40

Both decode PNGs: the plain loop those of every batch, through PIL and torchvision, as diffusers' training examples do;
ours all of them once, spread over ``diffusion.steps``. Blocks of steps of both alternate in one run; printed
are the medians and the ratio. The plain loop gets its mask planes for nothing; ours computes distances.
"""

import argparse
import io
import json
import statistics
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from diffusers import DDPMScheduler
from diffusers.training_utils import EMAModel
from PIL import Image
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import v2

from pipeline.config.params import load_params
from pipeline.data.dataset import read_dataset
from pipeline.data.writer import encode_png
from pipeline.diffusion.conditioning import Condition
from pipeline.diffusion.denoiser.augmentation import N_CHANGES
from pipeline.diffusion.denoiser.preconditioning import build_unet
from pipeline.diffusion.training import train_generator
from pipeline.diffusion.training_set import build_training_set
from pipeline.run.resume import Scratch


class PngPairs(Dataset):
    """Image and mask, decoded, resized, normalised at every access."""

    def __init__(self, cases, size: int):
        self.files = [(encode_png(case.image), encode_png(case.mask)) for case in cases]
        self.resize = v2.Resize((size, size))
        self.image = v2.Compose([v2.ToImage(), v2.ToDtype(torch.float32, scale=True), v2.Normalize([0.5], [0.5])])

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int):
        image, mask = (self.resize(Image.open(io.BytesIO(data))) for data in self.files[index])
        return self.image(image), self.image(mask)


def condition_of(params) -> Condition:
    return Condition(1, N_CHANGES if params.augment.conditioned else 0)


def plain_steps(cases, params, steps: int) -> float:
    """Seconds a step."""
    torch.manual_seed(0)
    accelerator = Accelerator(cpu=True)
    unet = build_unet(params.image_size, params.channels, params.layers, params.patch, condition_of(params).n_planes)
    optimizer = torch.optim.AdamW(unet.parameters(), lr=params.learning_rate)
    ema = EMAModel(unet.parameters(), decay=0.999)
    scheduler = DDPMScheduler(1000)
    loader = DataLoader(PngPairs(cases, params.image_size), batch_size=params.batch, shuffle=True, drop_last=True)
    unet, optimizer, loader = accelerator.prepare(unet, optimizer, loader)
    done, start = -1, 0.0
    while True:
        for images, masks in loader:
            if done == 0:
                start = time.perf_counter()
            noise = torch.randn_like(images)
            times = torch.randint(0, 1000, (len(images),))
            noisy = scheduler.add_noise(images, noise, times)
            planes = masks.expand(-1, condition_of(params).n_planes, -1, -1)
            inputs = functional.pixel_unshuffle(torch.cat([noisy, planes], dim=1), params.patch)
            predicted = functional.pixel_shuffle(unet(inputs, times).sample, params.patch)
            loss = functional.mse_loss(predicted, noise)
            accelerator.backward(loss)
            accelerator.clip_grad_norm_(unet.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()
            ema.step(unet.parameters())
            done += 1
            if done == steps:
                return (time.perf_counter() - start) / steps


class Clock:
    """In the place of a progress bar: when each step ended."""

    def __init__(self, marks: list[float]):
        self.marks = marks

    def __call__(self, step: int, loss: float) -> None:
        self.marks.append(time.perf_counter())

    def image(self, name: str, pixels: np.ndarray) -> None:
        pass


def our_steps(cases, params, steps: int) -> float:
    """Seconds a step, the decoding of the pool spread over the steps of a whole training."""
    encoded = PngPairs(cases, params.image_size).files
    start = time.perf_counter()
    decoded = [[np.asarray(Image.open(io.BytesIO(data))) for data in pair] for pair in encoded]
    cases = [replace(case, image=image, mask=mask) for case, (image, mask) in zip(cases, decoded, strict=True)]
    data = build_training_set(cases, [], ("background", "head"), params.image_size)
    decoding = (time.perf_counter() - start) / params.steps
    short = params.model_copy(update={"steps": steps + 1, "preview_every": 10**6, "checkpoint_every": 10**6})
    marks = []
    with tempfile.TemporaryDirectory() as folder:
        scratch = Scratch(Path(folder), "bench", [])
        train_generator(data, short, 0, scratch, torch.device("cpu"), Clock(marks))
    return (marks[-1] - marks[0]) / steps + decoding


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--params", type=Path, default=Path("params.yaml"))
    parser.add_argument("--train", type=Path, required=True)
    parser.add_argument("--cases", type=int, default=40)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    config = load_params(args.params)
    torch.set_num_threads(config.compute.threads)
    cases = read_dataset(args.train, splits=["train"]).cases[: args.cases]
    pairs = []
    for _ in range(args.rounds):
        pairs.append((our_steps(cases, config.diffusion, args.steps), plain_steps(cases, config.diffusion, args.steps)))
    ours, plain = (statistics.median(times) for times in zip(*pairs, strict=True))
    ratios = sorted(a / b for a, b in pairs)
    result = {"ours_ms": 1e3 * ours, "plain_ms": 1e3 * plain, "ratio": statistics.median(ratios), "ratios": ratios}
    json.dump(result, sys.stdout, indent=2)


if __name__ == "__main__":
    main()
