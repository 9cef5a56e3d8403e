"""What the synthetic sets are worth: their measures, verdicts and mask shapes, over replicates."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from pipeline.comparison.records import read_record
from pipeline.comparison.statistics.estimates import mean_of_known
from pipeline.quality.distributions import mean_and_std
from pipeline.quality.measures import QUESTIONS, Measure, read_measures
from pipeline.run.cells import cell_name
from pipeline.run.errors import InputError

REMEDY = "run `dvc repro score`"


@dataclass(frozen=True)
class Shape:
    """One descriptor of one structure of the masks; a record for each replicate.

    A record holds the groups reference (train split), synthetic (sampled masks), unseen (real ones), labels (the arm's
    own) and sources (the sampled ones by origin), each with mean, std, n and distance: Wasserstein, from the train
    split in its standard deviations. None where undefined.
    """

    structure: str
    descriptor: str
    records: tuple[dict, ...]

    def mean(self, group: str, name: str) -> float | None:
        """Mean over replicates; an axis of 179 degrees and one of 1 degree lie around 0, not around 90."""
        known = [one[group][name] for one in self.records if one[group][name] is not None]
        if self.descriptor == "angle" and name == "mean" and known:
            return mean_and_std(np.array(known), axial=True)[0]
        return mean_of_known(known)

    @property
    def sources(self) -> dict[str, float | None]:
        """Distance of the sampled masks by where they came from."""
        names = sorted({source for one in self.records for source in one["sources"]})
        found = {name: [one["sources"].get(name, {}).get("distance") for one in self.records] for name in names}
        return {name: mean_of_known(values) for name, values in found.items()}


@dataclass(frozen=True)
class SyntheticSets:
    """Quality of the synthetic sets.

    measures: number of labels → in the order of the questions, each measure's mean over replicates and its values.
    shapes: number of labels → the shapes of the masks.
    verdicts: (labels, replicate) → question → its word and sentence; see quality/verdicts.py.
    """

    measures: dict[int, list[tuple[Measure, list[float]]]]
    shapes: dict[int, list[Shape]]
    verdicts: dict[tuple[int, int], dict[str, dict[str, str]]]


def load_quality(quality: Path, usefulness: Path, grid) -> SyntheticSets:
    """What `score` and `usefulness` wrote of every set of the grid.

    Raises:
        InputError: a file is missing or of another version of the code, or the replicates were not scored alike.
    """
    sets = SyntheticSets({}, {}, {})
    for labels in grid.labels:
        by_key: dict[tuple[str, str, str | None], list[Measure]] = {}
        masks = []
        for replicate in grid.replicates:
            name = f"{cell_name(labels, replicate)}.json"
            own = read_measures(quality / name, REMEDY)
            for one in [*own, *read_measures(usefulness / name, "run `dvc repro usefulness`")]:
                by_key.setdefault((one.question, one.name, one.view), []).append(one)
            scored = read_record(quality / name, REMEDY, "masks", "verdicts")
            masks.append(scored["masks"])
            sets.verdicts[labels, replicate] = scored["verdicts"]
        if uneven := [key for key, records in by_key.items() if len(records) != len(grid.replicates)]:
            raise InputError(f"{quality}: not every replicate has a measure '{uneven[0][1]}'; {REMEDY}")
        ordered = sorted(by_key, key=lambda key: list(QUESTIONS).index(key[0]))
        sets.measures[labels] = [_over_replicates(by_key[key]) for key in ordered]
        sets.shapes[labels] = [
            Shape(structure, name, tuple(one[structure][name] for one in masks))
            for structure, descriptors in masks[0].items()
            for name in descriptors
        ]
    return sets


def _over_replicates(records: Sequence[Measure]) -> tuple[Measure, list[float]]:
    """Means over the replicates that have a value, a best, a worst, and the values; ``n`` is the smallest number of
    images, limits are the first's."""
    means = {
        name: mean_of_known([getattr(one, name) for one in records]) for name in ("value", "best", "worst", "spread")
    }
    values = [one.value for one in records if one.value is not None]
    return replace(records[0], n=min(one.n for one in records), **means), values
