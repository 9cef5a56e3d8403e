"""How many labels each arm has seen in all, and what else it was trained on: what its training wrote down."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from pipeline.config.arms import Arm
from pipeline.run.cells import cell_name
from pipeline.run.errors import InputError
from pipeline.run.files import read_json

Range = tuple[int, int]
"""Least and most over replicates."""
REMEDY = "run `dvc repro` of its finetune stage"


@dataclass(frozen=True)
class Budget:
    """What an arm was trained on.

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
    seen: Range
    unlabelled: Range
    extra: Range
    available: Range | None = None
    sampled: Range | None = None
    dropped: Mapping[str, Range] | None = None

    @property
    def exceeded(self) -> bool:
        """Whether more labels were seen than the arm's own, in any replicate."""
        return self.seen[1] > self.labels


def load_budgets(grid, arms: Mapping[str, Arm], training: Path) -> list[Budget]:
    """One budget per segmenter, number of labels and arm, from the files of their cells in ``training``.

    Raises:
        InputError: a cell's file is missing or of another version of the code.
    """
    budgets = []
    for segmenter, labels, arm in product(grid.segmenters, grid.labels, grid.arms):
        facts = [_read(training / f"{cell_name(segmenter, labels, r, arm)}.json") for r in grid.replicates]
        budgets.append(_budget(segmenter, labels, arm, arms[arm], facts))
    return budgets


def _read(path: Path) -> dict:
    facts = read_json(path, REMEDY)
    for key in ("trainable_parameters", "parameters", "labels", "unlabelled", "extra", "samples"):
        if key not in facts:
            raise InputError(f"{path}: key '{key}' is missing; {REMEDY}")
    return facts


def _budget(segmenter: str, labels: int, arm: str, spec: Arm, facts: Sequence[dict]) -> Budget:
    counts = facts[0]["trainable_parameters"], facts[0]["parameters"]
    ranges = (_range(one[key] for one in facts) for key in ("labels", "unlabelled", "extra"))
    samples = [one["samples"] for one in facts if one["samples"]]
    of_samples = {"available": _range(one["available"] for one in samples)} if samples else {}
    if spec.curated:
        applied = [one["curated"] for one in samples]
        used = [name for name, value in applied[0]["thresholds"].items() if value is not None]
        of_samples["sampled"] = _range(one["of"] for one in applied)
        of_samples["dropped"] = {name: _range(one["dropped"][name] for one in applied) for name in used}
    return Budget(segmenter, labels, arm, spec, *counts, *ranges, **of_samples)


def _range(values) -> Range:
    ordered = sorted(values)
    return ordered[0], ordered[-1]
