"""A training step of the generator beside a plain diffusers loop over the same U-Net, batch, resolution and precision.

    python -m benchmarks.training_step --train data/cohorts/train/hc18 --cases 40

Both decode PNGs and encode images: the plain loop those of every batch, through PIL and torchvision, as diffusers'
training examples do; ours as views, once, spread over ``diffusion.steps``. Blocks of steps of both alternate in one
run; printed are the medians and the ratio. The plain loop gets its condition for nothing; ours computes distances.
"""

import argparse
import io
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
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
from pipeline.data.structures import Structure
from pipeline.data.writer import encode_png
from pipeline.diffusion.appearance import NUMBERS
from pipeline.diffusion.codes.choice import fitted_code
from pipeline.diffusion.conditioning import Condition
from pipeline.diffusion.denoiser.augmentation import N_CHANGES
from pipeline.diffusion.denoiser.preconditioning import build_unet
from pipeline.diffusion.training import train_generator
from pipeline.diffusion.training_set import build_training_set
from pipeline.diffusion.views import encode_views, save_views
from pipeline.run.resume import Scratch

HEAD = (Structure("head", "head"),)


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


def plain_steps(cases, config, data, steps: int) -> float:
    """Seconds a step."""
    torch.manual_seed(0)
    accelerator, params, views = Accelerator(cpu=True), config.diffusion, config.views
    code = fitted_code(views.code, data.images, data.sectors)
    told = N_CHANGES * views.augment.conditioned + len(NUMBERS) * params.appearance
    channels = Condition(1, code.factor, told).n_channels
    unet = build_unet(views.grid, code.channels, channels, params.channels, params.layers)
    optimizer = torch.optim.AdamW(unet.parameters(), lr=params.learning_rate)
    ema = EMAModel(unet.parameters(), decay=0.999)
    scheduler = DDPMScheduler(1000)
    loader = DataLoader(PngPairs(cases, views.image_size), batch_size=params.batch, shuffle=True, drop_last=True)
    unet, optimizer, loader = accelerator.prepare(unet, optimizer, loader)
    done, start = -1, 0.0
    while True:
        for images, masks in loader:
            if done == 0:
                start = time.perf_counter()
            codes = code.encode(images)
            noise = torch.randn_like(codes)
            times = torch.randint(0, 1000, (len(images),))
            noisy = scheduler.add_noise(codes, noise, times)
            planes = functional.avg_pool2d(masks, code.factor).expand(-1, channels, -1, -1)
            predicted = unet(torch.cat([noisy, planes], dim=1), times).sample
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
    """In the place of a progress bar: when each step ended, by ``now``."""

    def __init__(self, marks: list[float], now: Callable[[], float] = time.perf_counter):
        self.marks, self.now = marks, now

    def __call__(self, step: int, loss: float) -> None:
        self.marks.append(self.now())

    def image(self, name: str, pixels: np.ndarray) -> None:
        pass


def our_steps(cases, config, steps: int) -> float:
    """Seconds a step, the decoding and the views of all cases spread over the steps of a whole training."""
    params, views, device = config.diffusion, config.views, torch.device("cpu")
    files = PngPairs(cases, views.image_size).files
    short = params.model_copy(update={"steps": steps + 1, "preview_every": 10**6, "checkpoint_every": 10**6})
    marks = []
    with tempfile.TemporaryDirectory() as name:
        folder, start = Path(name), time.perf_counter()
        decoded = [[np.asarray(Image.open(io.BytesIO(data))) for data in pair] for pair in files]
        cases = [replace(case, image=image, mask=mask) for case, (image, mask) in zip(cases, decoded, strict=True)]
        data = build_training_set(cases, [], HEAD, views.image_size)
        code = fitted_code(views.code, data.images, data.sectors)
        save_views(encode_views(data, code, views, 0, folder / "chunks", config.compute.threads, device), folder)
        before = (time.perf_counter() - start) / params.steps
        train_generator(data, folder, short, 0, Scratch(folder, "bench", []), device, Clock(marks))
    return (marks[-1] - marks[0]) / steps + before


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
    data = build_training_set(cases, [], HEAD, config.views.image_size)
    pairs = [
        (our_steps(cases, config, args.steps), plain_steps(cases, config, data, args.steps)) for _ in range(args.rounds)
    ]
    ours, plain = (statistics.median(times) for times in zip(*pairs, strict=True))
    ratios = sorted(a / b for a, b in pairs)
    result = {"ours_ms": 1e3 * ours, "plain_ms": 1e3 * plain, "ratio": statistics.median(ratios), "ratios": ratios}
    json.dump(result, sys.stdout, indent=2)


if __name__ == "__main__":
    main()
