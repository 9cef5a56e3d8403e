"""What the synthetic sets are worth, how their masks are shaped, and how many labels each arm has seen."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np

from pipeline.comparison.statistics.estimates import mean_of_known
from pipeline.config.arms import Arm
from pipeline.data.case import Case
from pipeline.data.dataset import Dataset, read_dataset
from pipeline.data.labels import label_subset
from pipeline.data.tables import read_table
from pipeline.quality.measures import QUESTIONS, Measure, read_measures
from pipeline.run.cells import cell_name
from pipeline.run.errors import InputError
from pipeline.run.files import read_json

NO_PIXELS = ("none",)
"""No split has this name: the index and the columns of a set are checked, and nothing is decoded."""


@dataclass(frozen=True)
class Quality:
    """One measure of the synthetic sets of one number of labels, a record for each replicate."""

    labels: int
    records: tuple[Measure, ...]

    @property
    def first(self) -> Measure:
        """For what is the same in every replicate: question, name, view, and what the ends are."""
        return self.records[0]

    @property
    def values(self) -> list[float]:
        return [one.value for one in self.records if one.value is not None]

    def mean(self, field: str) -> float | None:
        """Mean over the replicates that have the field (value, best, worst, spread); None where none has."""
        return mean_of_known([getattr(one, field) for one in self.records])

    @property
    def n(self) -> int:
        """Images measured in each replicate; the smallest where they differ."""
        return min(one.n for one in self.records)

    @property
    def position(self) -> float | None:
        """Where between best (0) and far end (1) the mean lies, clipped."""
        value, best, worst = (self.mean(field) for field in ("value", "best", "worst"))
        if None in (value, best, worst) or best == worst:
            return None
        return float(np.clip((value - best) / (worst - best), 0, 1))


def load_quality(quality: Path, usefulness: Path, grid) -> list[Quality]:
    """Every measure of the sets, in the order of the questions.

    Raises:
        InputError: a cell's file is missing, or the replicates were not scored alike.
    """
    rows = []
    for labels in grid.labels:
        by_key: dict[tuple[str, str, str | None], list[Measure]] = {}
        for replicate in grid.replicates:
            name = f"{cell_name(labels, replicate)}.json"
            found = [
                *read_measures(quality / name, "run `dvc repro score`"),
                *read_measures(usefulness / name, "run `dvc repro usefulness`"),
            ]
            for one in found:
                by_key.setdefault((one.question, one.name, one.view), []).append(one)
        for key, records in sorted(by_key.items(), key=lambda item: list(QUESTIONS).index(item[0][0])):
            if len(records) != len(grid.replicates):
                raise InputError(f"{quality}: not every replicate has a measure '{key[1]}'; run `dvc repro score`")
            rows.append(Quality(labels, tuple(records)))
    return rows


@dataclass(frozen=True)
class SetVerdict:
    """The words and sentences of one synthetic set, by question; see quality/verdicts.py."""

    labels: int
    replicate: int
    answers: dict[str, dict[str, str]]

    @property
    def page(self) -> str:
        return f"results/sets/{cell_name(self.labels, self.replicate)}/index.html"


def load_verdicts(quality: Path, grid) -> list[SetVerdict]:
    """The verdicts of every set.

    Raises:
        InputError: a cell's file is missing, or is of another version of the code.
    """
    return [
        SetVerdict(labels, r, _block(quality / f"{cell_name(labels, r)}.json", "verdicts"))
        for labels in grid.labels
        for r in grid.replicates
    ]


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
        cells = [_block(folder / f"{cell_name(labels, r)}.json", "masks") for r in grid.replicates]
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
                            mean_of_known([one["synthetic"]["std"] for one in found]),
                        ),
                        distance=mean_of_known([one["synthetic"]["distance"] for one in found]),
                        unseen=mean_of_known([one["unseen"]["distance"] for one in found]),
                        subset=mean_of_known([one["labels"]["distance"] for one in found]),
                        sources={
                            source: mean_of_known([one["sources"].get(source, {}).get("distance") for one in found])
                            for source in sources
                        },
                        n=min(one["synthetic"]["n"] for one in found),
                    )
                )
    return rows


def _block(path: Path, key: str) -> dict:
    remedy = "run `dvc repro score`"
    content = read_json(path, remedy)
    if key not in content:
        raise InputError(f"{path}: key '{key}' is missing; {remedy}")
    return content[key]


def _mean_value(values: Sequence[float | None], descriptor: str) -> float | None:
    """Mean over replicates; an axis of 179 degrees and one of 1 degree lie around 0, not around 90."""
    known = [value for value in values if value is not None]
    if descriptor != "angle" or not known:
        return mean_of_known(known)
    return float(np.degrees(np.angle(np.exp(2j * np.radians(known)).mean())) / 2 % 180)


@dataclass(frozen=True)
class Budget:
    """What an arm was trained on; ranges over replicates as (least, most).

    trainable, parameters: of the segmenter, those that were trained and all.
    seen: labelled real cases seen in all, by generator, filter and segmenter, those that chose weights among them.
    unlabelled: real images seen without their label. extra: extra cases in the training pool.
    available: different samples these were drawn from; None where none are. sampled, dropped: curated arms only, of how
    many samples, and how many each criterion in use dropped (some by more than one).
    """

    segmenter: str
    labels: int
    arm: str
    spec: Arm
    trainable: int
    parameters: int
    seen: tuple[int, int]
    unlabelled: tuple[int, int]
    extra: int
    available: tuple[int, int] | None
    sampled: tuple[int, int] | None
    dropped: dict[str, tuple[int, int]] | None

    @property
    def exceeded(self) -> bool:
        """Whether more labels were seen than the arm's own, in any replicate."""
        return self.seen[1] > self.labels


def load_budgets(
    params,
    train_cases: Sequence[Case],
    samples: Path,
    synthetic: Mapping[str, Dataset],
    curated: Path,
    training: Path,
) -> list[Budget]:
    """Count labels: the segmenter's own subset, together with the one the synthetic set says it was made from.

    Args:
        train_cases: cases of the training cohort, the train split among them.
        synthetic: cell name → synthetic set.
        training: what `finetune` wrote down of each cell.
    """
    grid = params.grid
    made = {n: _made([cell_name(n, r) for r in grid.replicates], samples, synthetic, curated) for n in grid.labels}
    budgets = []
    for segmenter, labels, arm in product(grid.segmenters, grid.labels, grid.arms):
        spec = params.arms[arm]
        source = None
        if spec.extra == "synthetic":
            source = made[max(grid.labels) if spec.generous else labels]
        seen = []
        for place, r in enumerate(grid.replicates):
            ids = {case.id for case in label_subset(train_cases, labels, r, params.seed)}
            path = training / f"{cell_name(segmenter, labels, r, arm)}.json"
            facts = read_json(path, "run `dvc repro finetune`")
            chosen_on = facts["labels"] - labels
            if source:
                ids |= set(source.sets[place].labels)
            seen.append(len(ids) + chosen_on)
        budgets.append(
            Budget(
                segmenter=segmenter,
                labels=labels,
                arm=arm,
                spec=spec,
                trainable=facts["trainable_parameters"],
                parameters=facts["parameters"],
                seen=_range(seen),
                unlabelled=_range([data.provenance["unlabelled"] for data in source.sets]) if source else (0, 0),
                extra=round(spec.ratio * labels),
                available=(source.kept if spec.curated else source.sampled) if source else None,
                sampled=source.sampled if spec.curated else None,
                dropped=source.dropped if spec.curated else None,
            )
        )
    return budgets


@dataclass(frozen=True)
class _Made:
    """The synthetic sets of one number of labels, one a replicate, and what curation kept of them."""

    sets: Sequence[Dataset]
    sampled: tuple[int, int]
    kept: tuple[int, int]
    dropped: dict[str, tuple[int, int]]


def _made(cells: Sequence[str], samples: Path, synthetic: Mapping[str, Dataset], curated: Path) -> _Made:
    filtered = [read_dataset(curated / cell, splits=NO_PIXELS).provenance["curated"] for cell in cells]
    return _Made(
        sets=[synthetic[cell] for cell in cells],
        sampled=_range([len(synthetic_rows(samples / f"{cell}.csv")) for cell in cells]),
        kept=_range([one["kept"] for one in filtered]),
        dropped=_dropped(filtered),
    )


def synthetic_rows(path: Path) -> list[dict[str, str]]:
    """The rows of a table of samples that are of the synthetic set, not of the real images beside it."""
    return [row for row in read_table(path) if row["set"] == "synthetic"]


def _dropped(curations: Sequence[dict]) -> dict[str, tuple[int, int]]:
    used = [name for name, value in curations[0]["thresholds"].items() if value is not None]
    return {name: _range([one["dropped"][name] for one in curations]) for name in used}


def _range(values: Sequence) -> tuple:
    return min(values), max(values)
