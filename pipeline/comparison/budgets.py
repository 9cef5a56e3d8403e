"""How many labels each arm has seen in all, and what else it was trained on: what its training wrote down."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from pipeline.comparison.records import read_record
from pipeline.config.arms import Arm
from pipeline.run.cells import cell_name

KEYS = (
    "trainable_parameters",
    "parameters",
    "labels",
    "unlabelled",
    "extra",
    "samples",
    "forward_passes",
    "vanishing",
)


@dataclass(frozen=True)
class Budget:
    """What an arm was trained on.

    records: of each replicate, what its training wrote: see ``label_budget`` in tasks/segmentation/finetuning.py.
    Its labels are all real cases seen with labels, by generator, filter and segmenter, also those that chose weights.
    """

    segmenter: str
    labels: int
    arm: str
    spec: Arm
    records: tuple[dict, ...]

    def range(self, *keys: str) -> tuple[int, int] | None:
        """Least and most over replicates of the number under these keys, one inside the other; None where none has it.

        Of curated arms: how many samples there were (``samples curated of``), and how many each criterion dropped,
        some by more than one (``samples curated dropped`` and its name).
        """
        values = list(self.records)
        for key in keys:
            values = [value[key] for value in values if value is not None]
        return (min(values), max(values)) if values else None

    @property
    def exceeded(self) -> bool:
        """Whether more labels were seen than the arm's own, in any replicate."""
        return self.range("labels")[1] > self.labels

    @property
    def passes(self) -> tuple[int, int]:
        """Images that went through a network in training, with a gradient and without; the most over replicates."""
        kinds = ("with_gradient", "without_gradient")
        return tuple(self.range("forward_passes", kind)[1] for kind in kinds)

    @property
    def vanishing(self) -> dict[str, int]:
        """Structure → in how many replicates it all but vanished from the pseudo-labels; of those where it did."""
        told = [record["vanishing"] or {} for record in self.records]
        counts = {name: sum(one.get(name, 0) > 0 for one in told) for name in told[0]}
        return {name: count for name, count in counts.items() if count}

    @property
    def criteria(self) -> list[str]:
        """The criteria that the samples of a curated arm were chosen by."""
        thresholds = self.records[0]["samples"]["curated"]["thresholds"]
        return [name for name, threshold in thresholds.items() if threshold is not None]


def differ_in_passes(budgets: Sequence[Budget]) -> bool:
    """Whether two arms of one segmenter took different numbers of forward passes."""
    found: dict[str, set[tuple[int, int]]] = {}
    for one in budgets:
        found.setdefault(one.segmenter, set()).add(one.passes)
    return any(len(passes) > 1 for passes in found.values())


def load_budgets(grid, arms: Mapping[str, Arm], training: Path) -> list[Budget]:
    """One budget per segmenter, number of labels and arm, from the files of their cells in ``training``.

    Raises:
        InputError: a cell's file is missing or of another version of the code.
    """
    budgets = []
    for segmenter, labels, arm in product(grid.segmenters, grid.labels, grid.arms):
        paths = [training / f"{cell_name(segmenter, labels, replicate, arm)}.json" for replicate in grid.replicates]
        records = tuple(read_record(path, "run `dvc repro` of its finetune stage", *KEYS) for path in paths)
        budgets.append(Budget(segmenter, labels, arm, arms[arm], records))
    return budgets
