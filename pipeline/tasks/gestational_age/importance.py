"""What an estimator's error owes to each feature class: permutation importance (Breiman 2001; Fisher, Rudin & Dominici,
"All models are wrong, but many are useful", JMLR 2019).

The columns of a class are exchanged between cases together, so that what they say jointly is lost and their relation to
each other kept. It tells what this estimator uses on these cases, not what age could be read from: a class whose
content another class has too may cost nothing.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from pipeline.run import seeds
from pipeline.run.errors import InputError
from pipeline.tasks.gestational_age.table import Inputs, groups_of

TOKENS = "deep"
"""The group of the deep tokens."""


@dataclass(frozen=True)
class Importance:
    """group: a feature class. repeats: float (R,), increase of the mean absolute error in days by each exchange.
    per_case: float (N,), mean increase of each case's absolute error, for intervals over patients."""

    group: str
    repeats: np.ndarray
    per_case: np.ndarray

    @property
    def increase(self) -> float:
        """Mean increase of the mean absolute error, in days."""
        return float(self.repeats.mean())


def permutation_importance(
    estimate: Callable[[Inputs], np.ndarray], inputs: Inputs, days: np.ndarray, *, repeats: int = 10, seed: int = 0
) -> list[Importance]:
    """Of each feature class and of the deep tokens, where there are some; the largest increase first.

    Args:
        estimate: features → days, float (N,). inputs, days: cases that ``estimate`` was not fitted on.
        seed: each exchange is a function of it, the group and the number of the repeat.

    Raises:
        InputError: fewer than two cases, no repeat, or estimates that are not finite.
    """
    if len(inputs) < 2 or repeats < 1:
        raise InputError(f"{len(inputs)} case(s), {repeats} repeat(s): exchanging values takes two and one at least")
    plain = _errors(estimate, inputs, days)
    found = []
    for group, columns in _groups(inputs).items():
        draws = [
            _errors(estimate, _exchanged(inputs, columns, _order(len(inputs), seed, group, repeat)), days) - plain
            for repeat in range(repeats)
        ]
        found.append(Importance(group, np.mean(draws, axis=1), np.mean(draws, axis=0)))
    return sorted(found, key=lambda one: -one.increase)


def _groups(inputs: Inputs) -> dict[str, Sequence[int] | None]:
    deep = {} if inputs.tokens is None else {TOKENS: None}
    return dict(groups_of(inputs.names)) | deep


def _order(count: int, seed: int, group: str, repeat: int) -> np.ndarray:
    return seeds.numpy_generator(seed, "importance", group, repeat).permutation(count)


def _exchanged(inputs: Inputs, columns: Sequence[int] | None, order: np.ndarray) -> Inputs:
    if columns is None:
        return replace(inputs, tokens=inputs.tokens[order])
    radiomics = inputs.radiomics.copy()
    radiomics[:, columns] = inputs.radiomics[np.ix_(order, columns)]
    return replace(inputs, radiomics=radiomics)


def _errors(estimate: Callable[[Inputs], np.ndarray], inputs: Inputs, days: np.ndarray) -> np.ndarray:
    errors = np.abs(estimate(inputs) - days)
    if not np.isfinite(errors).all():
        case = inputs.ids[int(np.argmin(np.isfinite(errors)))]
        raise InputError(f"case '{case}' has no estimate or no age; importance is of cases that have both")
    return errors
