from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from pipeline.arms.assembly import derangement
from pipeline.cohorts.splits import split_patients
from pipeline.config.cohorts import Splits
from pipeline.data.dataset import Dataset, open_dataset
from pipeline.data.labels import label_ids, label_patients, label_subset, read_labels
from pipeline.data.structures import Structure
from pipeline.data.writer import assemble_dataset, write_shards
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


def of_cases(cases, merged=False):
    return Dataset(Path(), "train", (Structure("head"),), cases, source={"near": {"merged": merged}} if merged else {})


@pytest.mark.parametrize("merged", [False, True])
def test_label_subsets_are_nested_and_exact(cases, merged):
    dataset = of_cases(cases, merged)
    small, large = (label_subset(dataset, n, 0, seed=5) for n in (10, 25))
    assert len(small) == 10
    assert [case.id for case in large[:10]] == [case.id for case in small]
    assert {case.id for case in label_subset(dataset, 10, 1, seed=5)} != {case.id for case in small}
    everything = [case.id for case in label_subset(dataset, len(cases), 0, seed=5)]
    assert sorted(everything) == sorted(case.id for case in cases)


def test_label_subset_never_leaves_the_train_split(ring):
    mixed = of_cases([ring(i, split=("train", "test", "val", "evaluation")[i % 4]) for i in range(20)])
    assert {case.split for case in label_subset(mixed, 5, 0, 0)} == {"train"}
    with pytest.raises(InputError, match=r"asks for 6 labelled cases, the train split has 5"):
        label_subset(mixed, 6, 0, 0)


@pytest.mark.parametrize(
    ("replicate", "expected"),
    [(0, "p18-0 p20-0 p20-1 p20-2 p7-0 p15-0 p2-0 p28-0"), (1, "p2-0 p1-0 p31-0 p26-0 p28-0 p28-1 p28-2 p3-0")],
)
def test_where_patients_are_known_all_images_of_one_are_taken(cases, replicate, expected):
    """The subsets of all results so far: they never change."""
    assert [case.id for case in label_subset(of_cases(cases), 8, replicate, seed=5)] == expected.split()


@pytest.fixture
def frames(ring):
    """47 images of 5 groups, as in a cohort of video clips without patients: one group holds most of them."""
    sizes = {"g0": 35, "g1": 6, "g2": 4, "g3": 1, "g4": 1}
    return [ring(0, id=f"{group}-{i}", patient=group) for group, count in sizes.items() for i in range(count)]


@pytest.mark.parametrize("replicate", range(5))
def test_where_near_images_are_merged_labels_are_spread_over_the_groups(frames, replicate):
    chosen = label_subset(of_cases(frames, merged=True), 47, replicate, seed=0)
    groups = [case.patient for case in chosen]
    assert sorted(groups[:5]) == ["g0", "g1", "g2", "g3", "g4"]
    # One more of every group that has one left, in the same order.
    assert groups[5:8] == [group for group in groups[:5] if group in ("g0", "g1", "g2")]
    assert set(groups[5 + 3 * 3 + 2 * 1 :][:2]) == {"g0", "g1"} and set(groups[-29:]) == {"g0"}


def test_which_image_of_a_group_is_taken_is_random_and_depends_on_no_order(frames):
    first = {label_subset(of_cases(frames, merged=True), 5, r, 0)[0].id for r in range(20)}
    assert len(first) > 8
    there, back = (label_subset(of_cases(some, merged=True), 20, 3, 0) for some in (frames, frames[::-1]))
    assert [case.id for case in there] == [case.id for case in back]


def test_the_rule_is_read_from_the_dataset(frames, tmp_path):
    """By whichever way labels are chosen: of a prepared cohort its index says whether near images were merged."""
    structures = (Structure("head", "head"),)
    shards = write_shards(tmp_path / "drafts", frames, structures)
    for merged in (True, False):
        near = {"merged": merged, "threshold": 0.95, "pairs": 0, "groups": [], "apart": 0, "across_splits": 0}
        card = {"near": near} | {key: [] for key in ("remarks", "passed_over", "warnings", "doubles")}
        path = tmp_path / str(merged)
        about = {"role": "train", "structures": structures, "labels": (), "provenance": {"reader": "x"}}
        assemble_dataset(path, shards, **about, source=card | {"merged_patients": [], "cohort": "x", "patients": 5})
        dataset = open_dataset(path)
        chosen = [case.id for case in label_subset(dataset, 9, 1, 0)]
        assert chosen == label_ids(path, 9, 1, 0) == [case.id for case in read_labels(path, 9, 1, 0)]
        assert chosen == [case.id for case in label_subset(of_cases(frames, merged), 9, 1, 0)]
        patients = label_patients(dataset, 9, 1, 0)
        assert list(patients) == chosen
        assert (len(set(patients.values())) == 5) == merged


@pytest.mark.parametrize("count", [2, 3, 17])
def test_derangement_leaves_nobody_in_place(count):
    order = derangement(count, 0)
    assert sorted(order) == list(range(count))
    assert not np.any(order == np.arange(count))
