from collections import Counter

import numpy as np
import pytest

from pipeline.arms.assembly import derangement
from pipeline.cohorts.splits import split_patients
from pipeline.config.cohorts import Splits
from pipeline.data.labels import label_subset
from pipeline.run import seeds
from pipeline.run.errors import InputError


@pytest.fixture
def cases(ring):
    """60 cases of 40 patients: every third patient has two images more."""
    rows = [ring(p, id=f"p{p}-0", patient=f"p{p}") for p in range(40)]
    return rows + [ring(p, id=f"p{p}-{k}", patient=f"p{p}") for p in range(0, 40, 4) for k in (1, 2)]


def test_seeds_depend_on_every_key_and_nothing_else():
    assert seeds.derive(0, "a", 1) == seeds.derive(0, "a", 1)
    values = {
        seeds.derive(*keys) for keys in [(0, "a", 1), (0, "a", 2), (0, "b", 1), (1, "a", 1), (0, "a1"), (0, 1, "a")]
    }
    assert len(values) == 6
    assert all(0 <= value < 2**63 for value in values)


def test_splits_are_of_patients_and_near_their_shares(cases):
    shares = Splits(evaluation=0.15, train=0.55, val=0.1, test=0.2)
    splits = split_patients((case.patient for case in cases), shares, seed=0)
    assert Counter(splits.values()) == {"evaluation": 6, "train": 22, "val": 4, "test": 8}


def test_splits_do_not_depend_on_the_order_or_number_of_cases(cases):
    shares, patients = Splits(evaluation=0.15, train=0.55, val=0.1, test=0.2), [case.patient for case in cases]
    assert split_patients(patients, shares, 3) == split_patients(reversed([*patients, *patients]), shares, 3)


def test_a_split_without_a_patient_is_an_error():
    with pytest.raises(InputError, match=r"'val' gets no patient out of 4: with a share of 0\.05 it takes 20 or so"):
        split_patients("abcd", Splits(evaluation=0.2, train=0.7, val=0.05, test=0.05), 0)


def test_label_subsets_are_nested_and_exact(cases):
    small, large = (label_subset(cases, n, 0, seed=5) for n in (10, 25))
    assert len(small) == 10
    assert [case.id for case in large[:10]] == [case.id for case in small]
    assert {case.id for case in label_subset(cases, 10, 1, seed=5)} != {case.id for case in small}


def test_label_subset_never_leaves_the_train_split(ring):
    mixed = [ring(i, split=("train", "test", "val", "evaluation")[i % 4]) for i in range(20)]
    assert {case.split for case in label_subset(mixed, 5, 0, 0)} == {"train"}
    with pytest.raises(InputError, match=r"asks for 6 labelled cases, the train split has 5"):
        label_subset(mixed, 6, 0, 0)


@pytest.mark.parametrize("count", [2, 3, 17])
def test_derangement_leaves_nobody_in_place(count):
    order = derangement(count, 0)
    assert sorted(order) == list(range(count))
    assert not np.any(order == np.arange(count))
