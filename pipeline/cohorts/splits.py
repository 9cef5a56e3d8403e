"""Patients into splits, once, for all that follows."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from math import ceil

from pipeline.config.cohorts import Splits
from pipeline.data.case import SPLITS
from pipeline.run import seeds
from pipeline.run.errors import InputError


def split_patients(patients: Sequence[str], shares: Splits, seed: int) -> dict[str, str]:
    """Patient → split, by the way that ``shares.by`` names.

    Args:
        patients: of every image, in the order of the images' names.

    Raises:
        InputError: a split with a share above zero would get no patient.
    """
    if shares.by == "blocks":
        return _by_blocks(patients, shares)
    return _at_random(patients, shares, seed)


def _at_random(patients: Iterable[str], shares: Splits, seed: int) -> dict[str, str]:
    """Shares are of patients, in random order."""
    patients = sorted(set(patients))
    order = seeds.numpy_generator(seed, "splits").permutation(len(patients))
    split_of: dict[str, str] = {}
    for split, start, stop in _cuts(shares, len(patients)):
        if stop == start:
            share = getattr(shares, split)
            raise InputError(
                f"split '{split}' gets no patient out of {len(patients)}: with a share of {share:g} it takes "
                f"{ceil(1 / share)} or so; add cases of other patients, or change its share"
            )
        split_of.update({patients[order[i]]: split for i in range(start, stop)})
    return split_of


def _by_blocks(patients: Sequence[str], shares: Splits) -> dict[str, str]:
    """Shares are of images, in the order of their names: the last are for the test. A patient whose images lie in
    several blocks goes to the one that holds most of them, the earliest of equals.
    """
    cuts = list(_cuts(shares, len(patients)))
    votes: dict[str, Counter] = {patient: Counter() for patient in patients}
    for split, start, stop in cuts:
        for patient in patients[start:stop]:
            votes[patient][split] += 1
    split_of = {patient: counts.most_common(1)[0][0] for patient, counts in votes.items()}
    for split, start, stop in cuts:
        if split not in split_of.values():
            raise InputError(
                f"split '{split}' gets no patient: of the {stop - start} images of its block most of every patient's "
                f"lie in another; raise its share of the {len(patients)} images, or say by: patients under splits"
            )
    return split_of


def _cuts(shares: Splits, count: int) -> Iterator[tuple[str, int, int]]:
    """(split, first, end) of the splits that have a share of ``count`` things in a row."""
    start, total = 0, 0.0
    for split in SPLITS:
        total += getattr(shares, split)
        stop = round(total * count)
        if getattr(shares, split) > 0:
            yield split, start, stop
        start = stop
