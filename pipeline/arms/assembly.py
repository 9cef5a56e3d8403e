"""What an arm adds to its labelled cases: nothing, cases made from them, or samples of a synthetic set."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from pipeline.arms.count import extra_count
from pipeline.arms.derived import Acceptance, Size, derived_cases
from pipeline.config.arms import Arm
from pipeline.config.augmentation import Warp
from pipeline.data.case import Case, pixel_hash
from pipeline.data.dataset import Dataset, open_dataset, read_dataset
from pipeline.data.labels import label_subset
from pipeline.data.writer import write_dataset
from pipeline.imaging.letterbox import Letterbox, letterbox
from pipeline.run import seeds
from pipeline.run.errors import InputError


def assemble_from_labels(
    name: str,
    arm: Arm,
    train: Path,
    labels: int,
    replicate: int,
    size: Size,
    warp: Warp,
    acceptance: Acceptance,
    seed: int,
    out: Path,
) -> None:
    """Write the extra cases of an arm without a generator; none where its ``extra`` is none.

    Args:
        size, acceptance: of the canvas that is filled, and of warps; see :func:`derived_cases`.
    """
    dataset = read_dataset(train, splits=["train"])
    cases = label_subset(dataset, labels, replicate, seed)
    count = extra_count(name, arm, labels)
    extra = derived_cases(arm.extra, cases, count, size, warp, arm_seed(seed, labels, replicate), acceptance)
    ids = [case.id for case in cases]
    write_dataset(out, extra, role="extra", structures=dataset.structures, labels=ids, provenance={"extra": arm.extra})


def assemble_from_samples(
    name: str, arm: Arm, samples: Path, labels: int, replicate: int, seed: int, out: Path
) -> None:
    """Write the extra cases of an arm with a synthetic set, the first ones of the set ``samples``.

    Raises:
        InputError: the arm asks for more uncurated samples than there are.
    """
    dataset, count = open_dataset(samples), extra_count(name, arm, labels)
    # Curation leaves fewer than were sampled: what is left is used again.
    if count > len(dataset.cases) and not arm.curated:
        raise InputError(
            f"arm '{name}': ratio {arm.ratio:g} of {labels} labels asks for {count} synthetic cases, there are "
            f"{len(dataset.cases)}; raise sample.count or lower the ratio"
        )
    extra = _taken(dataset, count)
    if arm.shuffled:
        extra = shuffled(list(extra), arm_seed(seed, labels, replicate))
    provenance = {"extra": arm.extra, "available": len(dataset.cases), **dataset.provenance}
    write_dataset(out, extra, role="extra", structures=dataset.structures, labels=dataset.labels, provenance=provenance)


def arm_seed(seed: int, labels: int, replicate: int) -> int:
    """The seed of all that is random in the arms of a label subset: the same in every arm."""
    return seeds.derive(seed, "finetune", labels, replicate)


def _taken(dataset: Dataset, count: int) -> Iterator[Case]:
    """The first ``count`` cases, again from the first where there are fewer, under ids of their own."""
    for i in range(count):
        turn, place = divmod(i, len(dataset.cases))
        case = dataset.cases[place]
        yield replace(case, id=f"{case.id}-again-{turn}") if turn else case


def shuffled(cases: Sequence[Case], seed: int) -> list[Case]:
    """Every image with the mask of another: the control that must hurt. An image that occurs again counts as one.

    Raises:
        InputError: there is one image only.
    """
    first: dict[str, int] = {}
    group = [first.setdefault(pixel_hash(case.image), i) for i, case in enumerate(cases)]
    distinct = list(first.values())
    if len(distinct) < 2:
        raise InputError("shuffling masks takes two different samples; raise sample.count")
    order = derangement(len(distinct), seed, "shuffled arm")
    other = {place: cases[distinct[k]] for place, k in zip(distinct, order, strict=True)}
    return [_with_mask_of(case, other[place]) for case, place in zip(cases, group, strict=True)]


def derangement(count: int, seed: int, *keys: object) -> np.ndarray:
    """A random cyclic permutation of ``count`` indices, which for ``count`` ≥ 2 leaves none in its place."""
    order = seeds.numpy_generator(seed, "derangement", *keys).permutation(count)
    result = np.empty(count, dtype=np.int64)
    result[order] = np.roll(order, 1)
    return result


def _with_mask_of(case: Case, other: Case) -> Case:
    mask = other.mask
    if mask.shape != case.image.shape:
        # Placed as the images are when both are letter-boxed.
        size = max(case.image.shape)
        mask = Letterbox.fit(case.image.shape, size).crop(letterbox(mask, size, mask=True)[0])
    return replace(case, mask=mask, mask_source=other.mask_source, parent=other.parent, transform=other.transform)
