"""Label budgets: which n labelled cases an arm has seen."""

from collections.abc import Sequence
from pathlib import Path

from pipeline.data.case import Case
from pipeline.data.dataset import open_dataset
from pipeline.run import seeds
from pipeline.run.errors import InputError


def label_subset(cases: Sequence[Case], n: int, replicate: int, seed: int) -> list[Case]:
    """The n train cases of a replicate: patients in random order, all of one patient's cases together.

    A pure function of its arguments; for one replicate the subset of a smaller n is part of that of a larger n.

    Raises:
        InputError: fewer than n labelled train cases.
    """
    labelled = {case.id: case for case in cases if case.split == "train" and case.mask is not None}
    chosen = _chosen([(case.id, case.patient) for case in labelled.values()], n, replicate, seed)
    return [labelled[case_id] for case_id in chosen]


def read_labels(path: Path, n: int, replicate: int, seed: int) -> list[Case]:
    """The cases of :func:`label_subset` of a dataset, which are the only ones that are decoded."""
    wanted = label_ids(path, n, replicate, seed)
    found = {case.id: case for case in open_dataset(path, ["train"]).cases.chosen(wanted)}
    return [found[case_id] for case_id in wanted]


def label_ids(path: Path, n: int, replicate: int, seed: int) -> list[str]:
    """The ids of :func:`label_subset` of a dataset's train split, without reading an image or a mask."""
    rows = open_dataset(path, ["train"]).cases.table
    labelled = [(row["id"], row["patient"]) for row in rows if row["mask_source"] is not None]
    return _chosen(labelled, n, replicate, seed)


def _chosen(labelled: Sequence[tuple[str, str]], n: int, replicate: int, seed: int) -> list[str]:
    """Ids of the chosen ones of (id, patient) pairs."""
    by_patient: dict[str, list[str]] = {}
    for case_id, patient in labelled:
        by_patient.setdefault(patient, []).append(case_id)
    patients = sorted(by_patient)
    order = seeds.numpy_generator(seed, "labels", replicate).permutation(len(patients))
    chosen = [case_id for i in order for case_id in by_patient[patients[i]]]
    if len(chosen) < n:
        raise InputError(f"key 'grid.labels' asks for {n} labelled cases, the train split has {len(chosen)}; lower it")
    return chosen[:n]
