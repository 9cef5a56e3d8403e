"""Sampling in chunks of a fixed size, so that an image depends on its weights, mask and seed and on nothing else.

The forward batch is the chunk, always full (the last one is padded): floating-point sums then never depend on where a
run was interrupted. A finished chunk is a finished shard; processes share the chunks, and nothing but the chunk in
work is held in memory.
"""

import json
import logging
import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow.parquet as pq
from tqdm import tqdm

from pipeline.config.sample import Sample
from pipeline.data.case import Case
from pipeline.data.schema import shard_name
from pipeline.data.writer import write_shard
from pipeline.diffusion.angle_bands import shares
from pipeline.diffusion.masks import ANGLE, MaskSource, RepeatedMasks
from pipeline.run import processes, seeds
from pipeline.tasks.segmentation.pair import Pair

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
    size, count = params.chunk_size, params.count
    chunks = [range(start, min(start + size, count)) for start in range(0, count, size)]
    paths = [folder / shard_name(number) for number in range(len(chunks))]
    if processes.count() > 1:
        log.info("%d processes share %d chunks", processes.count(), len(chunks))
    mine = list(zip(paths, chunks, strict=True))[processes.rank() :: processes.count()]
    todo = [(path, indices) for path, indices in mine if not path.exists()]
    total, hidden = sum(len(indices) for _, indices in todo), None if processes.is_main() else True
    with tqdm(total=total, desc="sample", unit="image", mininterval=5, disable=hidden) as bar:
        for path, indices in todo:
            write_shard(path, list(synthetic_cases(generator, source, indices, params, seed)))
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
        if generator.makes_masks:
            # Neither canvas nor parent nor pixel size are the template's then.
            made = {"image": image, "mask": mask, "mask_source": "generated"}
        else:
            made = {"image": draw.box.crop(image), "mask": draw.box.crop(mask), "mask_source": draw.source}
            made |= {"pixel_mm": draw.pixel_mm, "transform": draw.transform}
            made["parent"] = draw.template.id if draw.source == "parent" else None
        origin = {"patient": draw.template.patient, "seed": image_seed(seed, i)}
        yield Case(id=f"synthetic-{i:06d}", cohort="synthetic", split="train", **origin, **made)


def angles_of(shards: Sequence[Path], labels: Sequence[Case], pair: Pair | None) -> dict:
    """``angles``: the shares of bands of the angle of progression over the masks of a set, and over its labels.

    Nothing where the structures have no such angle, or the generator draws masks of its own.
    """
    if pair is None:
        return {}
    told = [json.loads(text or "{}") for path in shards for text in _transforms(path)]
    if not told or not all(ANGLE in one for one in told):
        return {}
    own = (math.nan if one[ANGLE] is None else one[ANGLE] for one in told)
    return {"angles": {"masks": shares(own), "labels": shares(pair.angle(case.mask) for case in labels)}}


def _transforms(path: Path) -> list[str | None]:
    return pq.read_table(path, columns=["transform"]).column("transform").to_pylist()
