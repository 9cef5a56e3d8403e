"""Label budgets: which n labelled cases an arm has seen."""

from collections.abc import Sequence
from itertools import zip_longest
from pathlib import Path

from pipeline.data.case import Case
from pipeline.data.dataset import Dataset, open_dataset
from pipeline.run import seeds
from pipeline.run.errors import InputError


def label_subset(dataset: Dataset, n: int, replicate: int, seed: int) -> list[Case]:
    """The n labelled train cases of a replicate, in the order in which they are taken.

    Patients come in random order, all of one patient's cases together. Where the dataset has near images merged, a
    "patient" is a run of neighbouring frames, and n of them would be one view: then one random case of every patient
    is taken, after these the second of each, and so on.

    A pure function of its arguments; for one replicate the subset of a smaller n is part of that of a larger n.

    Raises:
        InputError: fewer than n labelled train cases.
    """
    labelled = {case.id: case for case in dataset.cases if case.split == "train" and case.mask is not None}
    pairs = [(case.id, case.patient) for case in labelled.values()]
    return [labelled[case_id] for case_id in _ordered(pairs, n, replicate, seed, dataset.near_merged)]


def read_labels(path: Path, n: int, replicate: int, seed: int) -> list[Case]:
    """The cases of :func:`label_subset` of a dataset, which are the only ones that are decoded."""
    wanted = label_ids(path, n, replicate, seed)
    found = {case.id: case for case in open_dataset(path, ["train"]).cases.chosen(wanted)}
    return [found[case_id] for case_id in wanted]


def label_ids(path: Path, n: int, replicate: int, seed: int) -> list[str]:
    """The ids of :func:`label_subset` of a dataset's train split, without reading an image or a mask."""
    return list(label_patients(open_dataset(path, ["train"]), n, replicate, seed))


def label_patients(dataset: Dataset, n: int, replicate: int, seed: int) -> dict[str, str]:
    """Id → patient of :func:`label_subset`, of an opened dataset, without reading an image or a mask."""
    rows = [row for row in dataset.cases.table if row["split"] == "train" and row["mask_source"] is not None]
    patients = {row["id"]: row["patient"] for row in rows}
    chosen = _ordered(list(patients.items()), n, replicate, seed, dataset.near_merged)
    return {case_id: patients[case_id] for case_id in chosen}


def _ordered(labelled: Sequence[tuple[str, str]], n: int, replicate: int, seed: int, spread: bool) -> list[str]:
    """The first n ids of (id, patient) pairs; ``spread``: over the patients."""
    if len(labelled) < n:
        raise InputError(
            f"key 'grid.labels' asks for {n} labelled cases, the train split has {len(labelled)}; lower it"
        )
    by_patient: dict[str, list[str]] = {}
    for case_id, patient in sorted(labelled) if spread else labelled:
        by_patient.setdefault(patient, []).append(case_id)
    patients = sorted(by_patient)
    order = [patients[i] for i in seeds.numpy_generator(seed, "labels", replicate).permutation(len(patients))]
    if not spread:
        return [case_id for patient in order for case_id in by_patient[patient]][:n]
    mixed = []
    for patient in order:
        ids = by_patient[patient]
        turns = seeds.numpy_generator(seed, "labels", replicate, patient).permutation(len(ids))
        mixed.append([ids[i] for i in turns])
    return [case_id for turn in zip_longest(*mixed) for case_id in turn if case_id is not None][:n]
