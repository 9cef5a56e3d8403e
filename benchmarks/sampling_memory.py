"""Peak memory of sampling a thousand and a hundred thousand images.

    python -m benchmarks.sampling_memory

A generator of a few thousand random weights, 16 px and two steps, so that a hundred thousand images take minutes; the
shards, masks, seeds and the assembly of the set are the real ones. Each count runs in a process of its own.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SIZE = 16


def sample(count: int) -> dict:
    import numpy as np
    import torch
    from diffusers import EDMDPMSolverMultistepScheduler

    from pipeline.config.augmentation import Warp
    from pipeline.config.sample import MaskShares, Sample, Variety
    from pipeline.data.case import Case
    from pipeline.data.structures import Structure, to_json
    from pipeline.data.writer import assemble_dataset
    from pipeline.diffusion.codes.pixel import PixelCode
    from pipeline.diffusion.conditioning import Condition
    from pipeline.diffusion.denoiser.generator import MaskToImagePipeline
    from pipeline.diffusion.denoiser.preconditioning import build_unet
    from pipeline.diffusion.masks import MaskSource
    from pipeline.diffusion.sampling import sample_shards

    torch.set_num_threads(1)
    mask = np.zeros((SIZE, SIZE), np.uint8)
    mask[4:12, 3:13] = 1
    shifted = [np.roll(mask, i % 3, axis=1) for i in range(10)]
    labels = [
        Case(f"case-{i}", "bench", f"patient-{i}", own * 200, own, "train", mask_source="annotated")
        for i, own in enumerate(shifted)
    ]
    head, code = (Structure("head", "head"),), PixelCode(4)
    unet = build_unet(SIZE // 4, 16, Condition(1, 4).n_channels, (8, 8), 1).eval()
    scheduler = EDMDPMSolverMultistepScheduler(sigma_data=0.5)
    pipeline = MaskToImagePipeline(unet, scheduler, code, structures=to_json(head), image_size=SIZE)
    warp = Warp(rotate_deg=5, scale=0.05, aspect=0.05, shift=0.02, elastic=0.0)
    source = MaskSource(labels, 1, SIZE, MaskShares(parent=0.5, shape_model=0.5, user=0), warp, 0)
    params = Sample(
        count=count, masks=source.shares, variety=Variety(masks=2, images=2),
        steps=2, guidance=1.0, guidance_interval=(0, 1),
        sigma_min=0.01, sigma_max=40, chunk_size=256,
    )  # fmt: skip
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "shards").mkdir()
        shards = sample_shards(pipeline, source, params, 0, Path(folder) / "shards")
        assemble_dataset(
            Path(folder) / "set", shards, role="synthetic", structures=head,
            labels=[case.id for case in labels], provenance={"cohort": "bench"},
        )  # fmt: skip
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    return {"count": count, "peak_mb": peak, "seconds": time.perf_counter() - start}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--counts", type=int, nargs="+", default=[1_000, 100_000])
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        print(json.dumps(sample(args.one)))
        return
    for count in args.counts:
        command = [sys.executable, "-m", "benchmarks.sampling_memory", "--one", str(count)]
        print(subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip().splitlines()[-1])


if __name__ == "__main__":
    main()
