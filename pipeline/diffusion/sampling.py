"""Sampling in chunks of a fixed size, so that an image depends on its weights, mask and seed and on nothing else.

The forward batch is the chunk, always full (the last one is padded): floating-point sums then never depend on where a
run was interrupted. A finished chunk is a finished shard; processes share the chunks, and nothing but the chunk in
work is held in memory.
"""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from tqdm import tqdm

from pipeline.config.sample import Sample
from pipeline.data.case import Case
from pipeline.data.schema import shard_name
from pipeline.data.writer import write_shard
from pipeline.diffusion.masks import MaskDraw, MaskSource, RepeatedMasks
from pipeline.run import processes, seeds

log = logging.getLogger("pipeline.sampling")


def image_seed(seed: int, index: int) -> int:
    return seeds.derive(seed, "image", index)


def variety_set(source: MaskSource, params: Sample, seed: int) -> tuple[RepeatedMasks, Sample, int]:
    """Masks, parameters and seed of the small set of several images of each of a few masks: do they differ?"""
    masks, images = params.variety.masks, params.variety.images
    asked = params.model_copy(update={"count": masks * images})
    return RepeatedMasks(source, images), asked, seeds.derive(seed, "variety")


def sample_shards(generator, source: MaskSource, params: Sample, seed: int, folder: Path) -> list[Path]:
    """Write the shards of a synthetic set into ``folder``: those of this process.

    Args:
        generator: anything with ``render`` as below (see ``backends``).
        folder: finished shards found there are kept.

    Returns:
        The paths of all shards, in order, also of those that other processes write.
    """
    size = params.chunk_size
    chunks = range(-(-params.count // size))
    paths = [folder / shard_name(chunk) for chunk in chunks]
    own = chunks[processes.rank() :: processes.count()]
    if processes.count() > 1:
        log.info("%d processes share %d chunks", processes.count(), len(chunks))
    todo = [chunk for chunk in own if not paths[chunk].exists()]
    total = sum(min(size, params.count - chunk * size) for chunk in todo)
    with tqdm(
        total=total, desc="sample", unit="image", mininterval=5, disable=None if processes.is_main() else True
    ) as bar:
        for chunk in todo:
            indices = range(chunk * size, min((chunk + 1) * size, params.count))
            write_shard(paths[chunk], list(synthetic_cases(generator, source, indices, params, seed)))
            bar.update(len(indices))
    return paths


def synthetic_cases(generator, source: MaskSource, indices: Sequence[int], params: Sample, seed: int) -> Iterator[Case]:
    """Rows of one chunk: the letter-box padding is cut off, so the aspect ratio is a real one."""
    padded = [*indices, *[indices[-1]] * (params.chunk_size - len(indices))]
    draws = [source.draw(i) for i in indices]
    draws += [draws[-1]] * (len(padded) - len(draws))
    images, masks = generator.render(draws, [image_seed(seed, i) for i in padded], params)
    for i, draw, image, mask in zip(indices, draws, images, masks, strict=False):
        if mask is None:
            continue
        case = _case(i, draw, image, mask, seed)
        if generator.makes_masks:
            # Neither canvas nor parent nor pixel size are the template's then.
            made = {"image": image, "mask": mask, "mask_source": "generated"}
            case = replace(case, **made, parent=None, pixel_mm=None, transform=None)
        yield case


def _case(i: int, draw: MaskDraw, image: np.ndarray, mask: np.ndarray, seed: int) -> Case:
    template = draw.template
    return Case(
        id=f"synthetic-{i:06d}",
        cohort="synthetic",
        patient=template.patient,
        split="train",
        image=draw.box.crop(image),
        mask=draw.box.crop(mask),
        pixel_mm=draw.pixel_mm,
        mask_source=draw.source,
        parent=template.id if draw.source == "parent" else None,
        seed=image_seed(seed, i),
        transform=draw.transform,
    )
