"""How many labels each arm has seen in all, and what else it was trained on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from pipeline.config.arms import Arm
from pipeline.data.case import Case
from pipeline.data.dataset import Dataset, open_dataset
from pipeline.data.labels import label_subset
from pipeline.run.cells import cell_name
from pipeline.run.files import read_json

Range = tuple[int, int]
"""Least and most over replicates."""


@dataclass(frozen=True)
class Budget:
    """What an arm was trained on.

    trainable, parameters: of the segmenter, those that were trained and all.
    seen: labelled real cases seen in all, by generator, filter and segmenter, those that chose weights among them.
    unlabelled: real images seen without their label. extra: extra cases in the training pool.
    sampled: cases of the synthetic set; None without one. kept, dropped: curated arms only, how many of these curation
    kept, and how many each criterion in use dropped (some by more than one).
    """

    segmenter: str
    labels: int
    arm: str
    spec: Arm
    trainable: int
    parameters: int
    seen: Range
    unlabelled: Range
    extra: int
    sampled: Range | None = None
    kept: Range | None = None
    dropped: dict[str, Range] | None = None

    @property
    def available(self) -> Range | None:
        """Different samples that the extra cases were drawn from."""
        return self.kept or self.sampled

    @property
    def exceeded(self) -> bool:
        """Whether more labels were seen than the arm's own, in any replicate."""
        return self.seen[1] > self.labels


def load_budgets(
    params, train_cases: Sequence[Case], synthetic: Mapping[str, Dataset], curated: Path, training: Path
) -> list[Budget]:
    """Count labels: the segmenter's own subset, together with the one the synthetic set says it was made from.

    Args:
        train_cases: the train split of the training cohort.
        synthetic: cell name → synthetic set.
        training: what `finetune` wrote down of each cell.
    """
    grid = params.grid
    subsets = {
        (n, r): {case.id for case in label_subset(train_cases, n, r, params.seed)}
        for n, r in product(grid.labels, grid.replicates)
    }
    curations = {cell: open_dataset(curated / cell).provenance["curated"] for cell in synthetic}
    budgets = []
    for segmenter, labels, arm in product(grid.segmenters, grid.labels, grid.arms):
        spec, seen = params.arms[arm], []
        source = params.assemble.generous_labels if spec.generous else labels
        cells = [cell_name(source, r) for r in grid.replicates] if spec.extra == "synthetic" else []
        for place, r in enumerate(grid.replicates):
            facts = read_json(training / f"{cell_name(segmenter, labels, r, arm)}.json", "run `dvc repro finetune`")
            ids = set(synthetic[cells[place]].labels) if cells else set()
            # Beside its n labels an arm has seen those that chose its weights.
            seen.append(len(ids | subsets[labels, r]) + facts["labels"] - labels)
        sources = {"unlabelled": (0, 0)}
        if cells:
            sources["unlabelled"] = _range(synthetic[cell].provenance["unlabelled"] for cell in cells)
            sources["sampled"] = _range(len(synthetic[cell].cases) for cell in cells)
        if spec.curated:
            applied = [curations[cell] for cell in cells]
            used = [name for name, value in applied[0]["thresholds"].items() if value is not None]
            sources["kept"] = _range(one["kept"] for one in applied)
            sources["dropped"] = {name: _range(one["dropped"][name] for one in applied) for name in used}
        counts = facts["trainable_parameters"], facts["parameters"]
        where = (segmenter, labels, arm, spec, *counts, _range(seen))
        budgets.append(Budget(*where, extra=round(spec.ratio * labels), **sources))
    return budgets


def _range(values) -> Range:
    ordered = sorted(values)
    return ordered[0], ordered[-1]
