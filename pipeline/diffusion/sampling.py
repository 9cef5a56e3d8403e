"""Sampling in chunks of a fixed size, so that an image depends on its weights, mask and seed and on nothing else.

The forward batch is the chunk, always full (the last one is padded): floating-point sums then never depend on where a
run was interrupted. A finished chunk is a file, and is not made again.
"""

import io
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from pipeline.core import files, seeds
from pipeline.core.case import Case
from pipeline.core.geometry import letterbox, to_uint8
from pipeline.core.params import Sample
from pipeline.diffusion.generator import MaskToImagePipeline
from pipeline.diffusion.masks import MaskDraw
from pipeline.diffusion.sector import field_of_view


def image_seed(seed: int, index: int) -> int:
    return seeds.derive(seed, "image", index)


def generate(
    generator: MaskToImagePipeline, draws: Sequence[MaskDraw], params: Sample, seed: int, folder: Path
) -> np.ndarray:
    """uint8 (N, S, S), one image per mask; finished chunks are kept in ``folder``."""
    size = params.chunk_size
    sectors: dict[str, np.ndarray] = {}
    chunks = []
    for start in tqdm(range(0, len(draws), size), desc="sample", mininterval=5, disable=None):
        path = folder / f"chunk-{start // size:05d}.npy"
        if not path.exists():
            indices = list(range(start, min(start + size, len(draws))))
            padded = indices + [indices[-1]] * (size - len(indices))
            chunk = _chunk(generator, [draws[i] for i in padded], padded, params, seed, sectors)[: len(indices)]
            buffer = io.BytesIO()
            np.save(buffer, chunk)
            files.write_bytes(path, buffer.getvalue())
        chunks.append(np.load(path))
    return np.concatenate(chunks)


def _chunk(generator, draws, indices, params, seed, sectors) -> np.ndarray:
    size = generator.config["image_size"]
    for draw in draws:
        if draw.template.id not in sectors:
            sectors[draw.template.id] = field_of_view(letterbox(draw.template.image, size)[0])
    noise = [torch.randn(1, size, size, generator=torch.Generator().manual_seed(image_seed(seed, i))) for i in indices]
    images = generator(
        torch.from_numpy(np.stack([draw.mask for draw in draws])),
        torch.from_numpy(np.stack([sectors[draw.template.id] for draw in draws])),
        torch.stack(noise),
        steps=params.steps,
        guidance=params.guidance,
        sigma_min=params.sigma_min,
        sigma_max=params.sigma_max,
    )
    return to_uint8(images[:, 0].numpy())


def synthetic_cases(draws: Sequence[MaskDraw], images: np.ndarray, seed: int) -> Iterator[Case]:
    """Rows of the synthetic set: the letter-box padding is cut off, so the aspect ratio is a real one."""
    for i, (draw, image) in enumerate(zip(draws, images, strict=True)):
        template = draw.template
        yield Case(
            id=f"synthetic-{i:05d}",
            cohort="synthetic",
            patient=template.patient,
            split="train",
            image=draw.box.crop(image),
            mask=draw.box.crop(draw.mask),
            pixel_mm=template.pixel_mm / draw.box.scale if template.pixel_mm else None,
            mask_source=draw.source,
            parent=template.id if draw.source == "parent" else None,
            seed=image_seed(seed, i),
            transform=draw.transform,
        )
