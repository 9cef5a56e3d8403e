"""Patients into splits, once, for all that follows."""

from collections.abc import Iterable
from math import ceil

from pipeline.config.cohorts import Splits
from pipeline.data.case import SPLITS
from pipeline.run import seeds
from pipeline.run.errors import InputError


def split_patients(patients: Iterable[str], shares: Splits, seed: int) -> dict[str, str]:
    """Patient → split; shares are of patients, in random order.

    Raises:
        InputError: a split with a share above zero would get no patient.
    """
    patients = sorted(set(patients))
    order = seeds.numpy_generator(seed, "splits").permutation(len(patients))
    split_of, start, total = {}, 0, 0.0
    for split in SPLITS:
        share = getattr(shares, split)
        total += share
        stop = round(total * len(patients))
        if share > 0 and stop == start:
            raise InputError(
                f"split '{split}' gets no patient out of {len(patients)}: with a share of {share:g} it takes "
                f"{ceil(1 / share)} or so; add cases of other patients, or change its share"
            )
        split_of.update({patients[order[i]]: split for i in range(start, stop)})
        start = stop
    return split_of
