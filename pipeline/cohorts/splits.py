"""Patients into splits, once, for all that follows."""

from collections.abc import Iterable
from dataclasses import replace

from pipeline.config.cohorts import Splits
from pipeline.data.case import SPLITS, Case
from pipeline.run import seeds
from pipeline.run.errors import InputError


def split_patients(cases: Iterable[Case], shares: Splits, seed: int) -> list[Case]:
    """Give every case the split of its patient; shares are of patients, in random order.

    Raises:
        InputError: a split with a share above zero would get no patient.
    """
    cases = list(cases)
    patients = sorted({case.patient for case in cases})
    order = seeds.numpy_generator(seed, "splits").permutation(len(patients))
    split_of, start, total = {}, 0, 0.0
    for split in SPLITS:
        total += getattr(shares, split)
        stop = round(total * len(patients))
        if getattr(shares, split) > 0 and stop == start:
            raise InputError(f"split '{split}' gets no patient out of {len(patients)}; add cases or change its share")
        split_of.update({patients[order[i]]: split for i in range(start, stop)})
        start = stop
    return [replace(case, split=split_of[case.patient]) for case in cases]
