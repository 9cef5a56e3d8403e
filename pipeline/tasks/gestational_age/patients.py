"""Nothing is fitted on one case of a patient and judged on another: splits and checks go by patient."""

from collections.abc import Sequence

import numpy as np

from pipeline.run import seeds
from pipeline.run.errors import InputError


def check_disjoint(**sides: Sequence[str]) -> None:
    """Raise InputError, naming the patient, where one is on two of the sides (name → patients of its cases)."""
    seen: dict[str, str] = {}
    for side, patients in sides.items():
        for patient in dict.fromkeys(patients):
            if patient in seen:
                raise InputError(f"patient '{patient}' is in {seen[patient]} and in {side}; split by patient")
            seen[patient] = side


def grouped_folds(patients: Sequence[str], count: int, seed: int) -> list[np.ndarray]:
    """Numbers of the cases that are held out in each fold; every case once, a patient's cases together.

    Patients come in random order, each to the fold with the fewest cases so far: a function of the patients' names, the
    number of their cases and the seed, not of the order of the cases.

    Args:
        patients: of each case. count: of folds; as many as there are patients where they are fewer.

    Raises:
        InputError: fewer than two patients.
    """
    names, patient_of, cases = np.unique(np.asarray(patients), return_inverse=True, return_counts=True)
    if len(names) < 2:
        raise InputError(f"{len(names)} patient(s) cannot be split in two; give more labelled patients")
    folds = np.zeros(len(names), dtype=int)
    held = np.zeros(min(count, len(names)), dtype=int)
    for patient in seeds.numpy_generator(seed, "folds").permutation(len(names)):
        folds[patient] = np.argmin(held)
        held[folds[patient]] += cases[patient]
    return [np.flatnonzero(folds[patient_of] == fold) for fold in range(len(held))]
