"""What ``torch.use_deterministic_algorithms`` costs on the CPU, where every operation used here repeats without it.

``python -m benchmarks.deterministic`` prints the median step time of both and their ratio, measured in turn in one run.
"""

import json
import statistics
import sys
import time

import torch

from pipeline.diffusion.pixel.denoiser import Edm, build_unet, denoising_loss

SIZE, BATCH, ROUNDS = 64, 8, 5


def step_seconds(deterministic: bool) -> float:
    """Seconds of one optimiser step of the quick preset's generator."""
    torch.use_deterministic_algorithms(deterministic)
    torch.manual_seed(0)
    unet = build_unet(SIZE, (32, 64, 96, 128), 1, 2, n_planes=3).to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(unet.parameters())
    images, planes, sigma = (
        torch.randn(BATCH, 1, SIZE, SIZE),
        torch.randn(BATCH, 3, SIZE, SIZE),
        torch.rand(BATCH) + 0.1,
    )

    def step() -> None:
        loss = denoising_loss(unet, images, planes, torch.randn_like(images), sigma, 2, Edm(0.5))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    step()
    start = time.perf_counter()
    step()
    return time.perf_counter() - start


def main() -> None:
    torch.set_num_threads(2)
    pairs = [(step_seconds(True), step_seconds(False)) for _ in range(ROUNDS)]
    with_it, without = (statistics.median(times) for times in zip(*pairs, strict=True))
    ratio = statistics.median(a / b for a, b in pairs)
    json.dump({"deterministic_ms": 1e3 * with_it, "plain_ms": 1e3 * without, "ratio": ratio}, sys.stdout, indent=2)


if __name__ == "__main__":
    main()
