"""Label budgets: which n labelled cases an arm has seen."""

from collections.abc import Sequence

from pipeline.data.case import Case
from pipeline.run import seeds
from pipeline.run.errors import InputError


def label_subset(cases: Sequence[Case], n: int, replicate: int, seed: int) -> list[Case]:
    """The n train cases of a replicate: patients in random order, all of one patient's cases together.

    A pure function of its arguments; for one replicate the subset of a smaller n is part of that of a larger n.

    Raises:
        InputError: fewer than n labelled train cases.
    """
    by_patient: dict[str, list[Case]] = {}
    for case in cases:
        if case.split == "train" and case.mask is not None:
            by_patient.setdefault(case.patient, []).append(case)
    patients = sorted(by_patient)
    order = seeds.numpy_generator(seed, "labels", replicate).permutation(len(patients))
    chosen = [case for i in order for case in by_patient[patients[i]]]
    if len(chosen) < n:
        raise InputError(f"key 'grid.labels' asks for {n} labelled cases, the train split has {len(chosen)}; lower it")
    return chosen[:n]
