"""Folds of patients: what is judged by a network that was trained without a patient's fold has not been seen by it."""

from collections.abc import Iterable

from pipeline.run.errors import InputError

ABOUT = "folds"
"""Name of the file that says which fold a patient is in."""


def fold_of_patient(patients: Iterable[str], folds: int, key: str) -> dict[str, int]:
    """Patient → one of ``folds`` folds, in turn by name: a pure function of the set of patients.

    Args:
        key: what messages call ``folds``.

    Raises:
        InputError: fewer patients than folds.
    """
    names = sorted(set(patients))
    if len(names) < folds:
        raise InputError(
            f"key '{key}' is {folds}, and the labels are of {len(names)} patients; lower it, or raise grid.labels"
        )
    return {name: i % folds for i, name in enumerate(names)}
