"""What the synthetic sets are worth, how their masks are shaped, and how many labels each arm has seen."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.core.case import Case
from pipeline.core.dataset import Dataset, read_dataset
from pipeline.core.errors import InputError
from pipeline.core.files import read_json
from pipeline.core.labels import label_subset
from pipeline.core.params import Arm
from pipeline.core.prune import cell_name
from pipeline.core.tables import read_table

NO_PIXELS = ("none",)
"""No split has this name: the index and the columns of a set are checked, and nothing is decoded."""


@dataclass(frozen=True)
class Quality:
    """A quality number of the synthetic sets of one number of labels, replicates' means in ``synthetic``.

    best, worst: what real unseen images and the far end (foreign images, shuffled masks, copies) score.
    n: images or pairs it was measured on, in each replicate; the smallest where they differ.
    """

    labels: int
    measure: str
    extractor: str | None
    best: float
    synthetic: tuple[float, ...]
    worst: float
    spread: float | None
    n: int

    @property
    def mean(self) -> float:
        return float(np.mean(self.synthetic))

    @property
    def position(self) -> float:
        """Where between best (0) and worst (1), clipped."""
        span = self.worst - self.best
        return float(np.clip((self.mean - self.best) / span, 0, 1)) if span else 0.0


def load_quality(folder: Path, grid) -> list[Quality]:
    """Fidelity per extractor, mask obedience and novelty, averaged over replicates.

    Raises:
        InputError: a cell's file is missing.
    """
    rows = []
    for labels in grid.labels:
        cells = [read_json(folder / f"{cell_name(labels, r)}.json", "run `dvc repro score`") for r in grid.replicates]
        for extractor in cells[0]["fidelity"]:
            found = [cell["fidelity"][extractor] for cell in cells]
            for measure in ("fid", "kid", "precision", "recall"):
                ends = [np.mean([one[end][measure] for one in found]) for end in ("real", "foreign")]
                spread = np.mean([one["synthetic"]["kid_std"] for one in found]) if measure == "kid" else None
                own = tuple(one["synthetic"][measure] for one in found)
                n = min(one["synthetic"]["n"] for one in found)
                rows.append(Quality(labels, measure, extractor, float(ends[0]), own, float(ends[1]), spread, n))
        found = [cell["obedience"] for cell in cells]
        ends = [float(np.mean([one[end]["dice"] for one in found])) for end in ("ceiling", "shuffled")]
        own = tuple(one["synthetic"]["dice"] for one in found)
        spread = float(np.mean([one["synthetic"]["std"] for one in found]))
        n = min(one["synthetic"]["n"] for one in found)
        rows.append(Quality(labels, "obedience", None, ends[0], own, ends[1], spread, n))
        own = tuple(cell["novelty"]["ratio"] for cell in cells)
        n = min(cell["novelty"]["n"] for cell in cells)
        rows.append(Quality(labels, "novelty", None, 1.0, own, 0.0, None, n))
    return rows


@dataclass(frozen=True)
class Shape:
    """One descriptor of one structure of the masks, for one number of labels; means over replicates.

    real, synthetic: mean and standard deviation, of the train split and of the sampled masks; None without a value.
    distance, unseen, subset: Wasserstein distance from the train split in its standard deviations, of the sampled
    masks, of unseen real ones and of the arm's own labels; None where undefined. sources: the first by mask source.
    n: sampled masks that have this descriptor, in each replicate; the smallest where they differ.
    """

    labels: int
    structure: str
    descriptor: str
    real: tuple[float | None, float | None]
    synthetic: tuple[float | None, float | None]
    distance: float | None
    unseen: float | None
    subset: float | None
    sources: dict[str, float | None]
    n: int


def load_shapes(folder: Path, grid) -> list[Shape]:
    """How the sampled masks are distributed beside the real ones, averaged over replicates.

    Raises:
        InputError: a cell's file is missing, or is from before masks were compared.
    """
    rows = []
    for labels in grid.labels:
        cells = [_masks(folder / f"{cell_name(labels, r)}.json") for r in grid.replicates]
        for structure, descriptors in cells[0].items():
            for descriptor in descriptors:
                found = [cell[structure][descriptor] for cell in cells]
                sources = sorted({source for one in found for source in one["sources"]})
                rows.append(
                    Shape(
                        labels=labels,
                        structure=structure,
                        descriptor=descriptor,
                        # The train split is the same in every replicate.
                        real=(found[0]["reference"]["mean"], found[0]["reference"]["std"]),
                        synthetic=(
                            _mean_value([one["synthetic"]["mean"] for one in found], descriptor),
                            _mean([one["synthetic"]["std"] for one in found]),
                        ),
                        distance=_mean([one["synthetic"]["distance"] for one in found]),
                        unseen=_mean([one["unseen"]["distance"] for one in found]),
                        subset=_mean([one["labels"]["distance"] for one in found]),
                        sources={
                            source: _mean([one["sources"].get(source, {}).get("distance") for one in found])
                            for source in sources
                        },
                        n=min(one["synthetic"]["n"] for one in found),
                    )
                )
    return rows


def _masks(path: Path) -> dict:
    remedy = "run `dvc repro score`"
    cell = read_json(path, remedy)
    if "masks" not in cell:
        raise InputError(f"{path}: key 'masks' is missing; {remedy}")
    return cell["masks"]


def _mean(values: Sequence[float | None]) -> float | None:
    """Mean of the known values; None where none is known."""
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def _mean_value(values: Sequence[float | None], descriptor: str) -> float | None:
    """Mean over replicates; an axis of 179 degrees and one of 1 degree lie around 0, not around 90."""
    known = [value for value in values if value is not None]
    if descriptor != "angle" or not known:
        return _mean(known)
    return float(np.degrees(np.angle(np.exp(2j * np.radians(known)).mean())) / 2 % 180)


@dataclass(frozen=True)
class Budget:
    """What an arm was trained on; ranges over replicates as (least, most).

    seen: labelled real cases seen in all, by generator, filter and segmenter, those that chose the generator's weights
    among them. unlabelled: real images seen without their label. extra: extra cases in the training pool.
    available: samples these were drawn from; None where none are. kept: of how many samples, and at which Dice.
    """

    labels: int
    arm: str
    spec: Arm
    seen: tuple[int, int]
    unlabelled: tuple[int, int]
    extra: int
    available: tuple[int, int] | None
    sampled: tuple[int, int] | None
    threshold: tuple[float, float] | None


def load_budgets(
    params, train_cases: Sequence[Case], samples: Path, synthetic: Mapping[str, Dataset], curated: Path
) -> list[Budget]:
    """Count labels: the segmenter's own subset, together with the one the synthetic set says it was made from.

    Args:
        train_cases: cases of the training cohort, the train split among them.
        synthetic: cell name → synthetic set.
    """
    budgets = []
    for labels in params.grid.labels:
        cells = [cell_name(labels, r) for r in params.grid.replicates]
        own = [{case.id for case in label_subset(train_cases, labels, r, params.seed)} for r in params.grid.replicates]
        sets = [synthetic[cell] for cell in cells]
        filtered = [read_dataset(curated / cell, splits=NO_PIXELS).provenance["curated"] for cell in cells]
        sampled = _range([len(read_table(samples / f"{cell}.csv")) for cell in cells])
        for arm in params.grid.arms:
            spec = params.arms[arm]
            uses = spec.extra == "synthetic"
            seen = [
                len(ids | set(data.labels)) + data.provenance["selected_on"] if uses else len(ids)
                for ids, data in zip(own, sets, strict=True)
            ]
            kept = _range([one["kept"] for one in filtered]) if spec.curated else sampled
            budgets.append(
                Budget(
                    labels=labels,
                    arm=arm,
                    spec=spec,
                    seen=_range(seen),
                    unlabelled=_range([data.provenance["unlabelled"] for data in sets]) if uses else (0, 0),
                    extra=round(spec.ratio * labels),
                    available=kept if uses else None,
                    sampled=sampled if spec.curated else None,
                    threshold=_range([one["threshold"] for one in filtered]) if spec.curated else None,
                )
            )
    return budgets


def _range(values: Sequence) -> tuple:
    return min(values), max(values)
