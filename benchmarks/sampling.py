"""Quality and speed against network calls: the project's samplers beside DDPM and DDIM with the same trained network.

    python -m benchmarks.sampling --model models/diffusion/40-0 --train data/cohorts/train/hc18 \\
        --evaluation-network models/evaluation_network --labels 40 --count 96

One row a sampler: network calls an image, images a second, KID of the evaluation network's features against the test
split (standard deviation over random halves), mask agreement. Masks, sectors and seeds are the same in every row. DDPM
and DDIM run through diffusers' own schedulers on the same denoiser, D(x; σ) with σ² = (1 - ᾱ) / ᾱ.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch
from diffusers import DDIMScheduler, DDPMScheduler

from pipeline.config.params import load_params
from pipeline.data.dataset import read_dataset
from pipeline.data.labels import label_subset
from pipeline.data.stacking import stack_images
from pipeline.diffusion.denoiser.generator import load_generator
from pipeline.diffusion.denoiser.preconditioning import Preconditioning, denoise
from pipeline.diffusion.masks import MaskSource
from pipeline.imaging.letterbox import to_uint8, to_unit_range
from pipeline.networks.small_unet import bottleneck, load_unet
from pipeline.tasks.segmentation.inference import class_map, dice, probabilities

CHUNK = 48
ROWS = [
    *({"sampler": "dpmpp_2m", "steps": steps, "guidance": 1.0} for steps in (6, 8, 10, 14, 18, 25, 40)),
    *({"sampler": "dpmpp_2m", "steps": steps, "guidance": 1.5} for steps in (8, 10, 14, 18, 25)),
    *({"sampler": "dpmpp_2m", "steps": steps, "guidance": 1.5, "interval": [0.2, 3.0]} for steps in (10, 14, 18)),
    {"sampler": "dpmpp_2m", "steps": 14, "guidance": 2.0, "interval": [0.2, 3.0]},
    {"sampler": "ddim", "steps": 50, "guidance": 1.0},
    {"sampler": "ddim", "steps": 50, "guidance": 1.5},
    {"sampler": "ddpm", "steps": 1000, "guidance": 1.0},
]


@torch.inference_mode()
def ancestral(pipeline, masks, sectors, generators, kind: str, steps: int, guidance: float) -> np.ndarray:
    """uint8 (B, S, S) from DDPM or DDIM on the variance-preserving chain of 1000 levels."""
    options = {"num_train_timesteps": 1000, "prediction_type": "sample", "clip_sample": False}
    scheduler = DDPMScheduler(**options) if kind == "ddpm" else DDIMScheduler(**options, timestep_spacing="trailing")
    scheduler.set_timesteps(steps)
    code, condition = pipeline.code, pipeline.condition
    edm = Preconditioning(code.sigma_data, pipeline.config["prediction"])
    told = condition.channels(condition.planes(masks, sectors), pipeline.numbers(len(masks), None, generators))
    null = condition.without_mask(told)
    grid = told.shape[-1]
    sample = torch.stack([torch.randn(code.channels, grid, grid, generator=g) for g in generators])
    for t in scheduler.timesteps:
        alpha = scheduler.alphas_cumprod[t]
        sigma = ((1 - alpha) / alpha).sqrt().expand(len(masks))
        noisy = sample / alpha.sqrt()
        denoised = denoise(pipeline.unet, noisy, told, sigma, edm)
        if guidance != 1:
            blind = denoise(pipeline.unet, noisy, null, sigma, edm)
            denoised = blind + guidance * (denoised - blind)
        sample = scheduler.step(denoised, t, sample).prev_sample
    return to_uint8(code.decode(sample).clamp(-1, 1)[:, 0].numpy())


def images_of(pipeline, draws, row: dict) -> np.ndarray:
    chunks = []
    for start in range(0, len(draws), CHUNK):
        chunk = draws[start : start + CHUNK]
        masks = torch.from_numpy(np.stack([draw.mask for draw in chunk]))
        sectors = torch.from_numpy(np.stack([draw.sector for draw in chunk]))
        generators = [torch.Generator().manual_seed(start + i) for i in range(len(chunk))]
        if row["sampler"] in ("ddpm", "ddim"):
            torch.manual_seed(start)
            kind = row["sampler"]
            chunks.append(ancestral(pipeline, masks, sectors, generators, kind, row["steps"], row["guidance"]))
        else:
            chunks.append(
                pipeline(
                    masks,
                    sectors,
                    num_inference_steps=row["steps"],
                    guidance_scale=row["guidance"],
                    guidance_interval=row.get("interval", (0, 1e6)),
                    generator=generators,
                    output_type="np",
                ).images
            )
    return np.concatenate(chunks)


def kid(a: np.ndarray, b: np.ndarray) -> float:
    """Unbiased squared MMD with KID's cubic kernel (Binkowski et al. 2018) of features (N, D) and (M, D)."""

    def kernel(x, y):
        return (x @ y.T / x.shape[1] + 1) ** 3

    m, n = len(a), len(b)
    within = (kernel(a, a).sum() - kernel(a, a).trace()) / (m * (m - 1))
    within += (kernel(b, b).sum() - kernel(b, b).trace()) / (n * (n - 1))
    return float(within - 2 * kernel(a, b).mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--params", type=Path, default=Path("params.yaml"))
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--train", type=Path, required=True)
    parser.add_argument("--evaluation-network", type=Path, required=True)
    parser.add_argument("--labels", type=int, required=True)
    parser.add_argument("--replicate", type=int, default=0)
    parser.add_argument("--count", type=int, default=96)
    parser.add_argument("--out", type=Path, help="where the rows also go, as JSON")
    parser.add_argument("--without-ddpm", action="store_true", help="leave out the row of 1000 calls")
    args = parser.parse_args()
    config = load_params(args.params)
    torch.set_num_threads(config.compute.threads)
    dataset = read_dataset(args.train, splits=["train", "test"])
    labels = label_subset(dataset, args.labels, args.replicate, config.seed)
    pipeline = load_generator(args.model, "cpu")
    calls = [0]

    def count(*_) -> None:
        calls[0] += 1

    pipeline.unet.register_forward_hook(count)
    size = pipeline.config["image_size"]
    source = MaskSource(labels, dataset.n_structures, size, config.sample.masks, config.warp, 0)
    draws = [source.draw(i) for i in range(args.count)]
    masks = np.stack([draw.mask for draw in draws])
    network, settings = load_unet(args.evaluation_network, "evaluation_network", "cpu")
    if settings["image_size"] != size:
        parser.error(f"the evaluation network works at {settings['image_size']} px, the model at {size}")

    @torch.inference_mode()
    def features(images: np.ndarray) -> np.ndarray:
        return bottleneck(network, torch.from_numpy(images)).numpy()

    scale = features(stack_images(dataset.split("train"), size))
    mean, std = scale.mean(axis=0), scale.std(axis=0) + 1e-6
    # Against unseen patients: the train split holds the generator's own labels, and would reward copies of them.
    reference = (features(stack_images(dataset.split("test"), size)) - mean) / std
    rng = np.random.default_rng(0)
    halves = [rng.permutation(args.count)[: args.count // 2] for _ in range(40)]
    rows = []
    print(f"{'sampler':14} steps guidance interval     calls images/s   KID ± sd        agreement")
    for row in ROWS:
        if row["sampler"] == "ddpm" and args.without_ddpm:
            continue
        calls[0] = 0
        start = time.perf_counter()
        images = images_of(pipeline, draws, row)
        seconds = time.perf_counter() - start
        unit = to_unit_range(images)[:, None]
        codes = (features(unit) - mean) / std
        spread = float(np.std([kid(codes[half], reference) for half in halves]))
        maps = [class_map(p) for p in probabilities(network, unit, "cpu")]
        agreement = np.mean([dice(a, b, dataset.n_structures).mean() for a, b in zip(maps, masks, strict=True)])
        rows.append(
            {
                **row,
                "calls": calls[0] // -(-args.count // CHUNK),
                "images_per_s": args.count / seconds,
                "kid": kid(codes, reference),
                "kid_sd": spread,
                "mask_agreement": float(agreement),
            }
        )
        last = rows[-1]
        print(
            f"{row['sampler']:14} {row['steps']:5} {row['guidance']:8} {row.get('interval', '-')!s:12} "
            f"{last['calls']:5} {last['images_per_s']:8.2f}   {last['kid']:.3f} ± {spread:.3f}   {agreement:.4f}",
            flush=True,
        )
    if args.out:
        args.out.write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    main()
