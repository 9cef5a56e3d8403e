"""Patients into splits: at random, and by blocks of images whose names follow each other."""

import pytest

from pipeline.cohorts.splits import split_patients
from pipeline.config.cohorts import Splits
from pipeline.data.case import SPLITS
from pipeline.run.errors import InputError

SHARES = {"evaluation": 0.2, "train": 0.4, "val": 0.1, "test": 0.3}


def splits(patients, seed=0, by="blocks", **shares):
    return split_patients(patients, Splits.model_validate({"by": by} | (shares or SHARES)), seed)


def test_blocks_follow_the_order_of_the_images():
    found = splits([f"p{i}" for i in range(20)])
    assert [found[f"p{i}"] for i in range(20)] == ["evaluation"] * 4 + ["train"] * 8 + ["val"] * 2 + ["test"] * 6
    assert found == splits([f"p{i}" for i in range(20)], seed=9), "nothing is drawn"


def test_shares_of_blocks_are_of_images():
    found = splits(["long"] * 8 + ["short", "other"], evaluation=0.5, train=0.4, val=0, test=0.1)
    assert found == {"long": "evaluation", "short": "train", "other": "test"}


@pytest.mark.parametrize(
    ("crossing", "expected"),
    [
        ((11, 12), "train"),  # one image on each side: the earlier block
        ((10, 11, 12), "train"),
        ((11, 12, 13), "val"),
        ((0, 14, 15), "test"),  # also where they do not follow each other
    ],
)
def test_a_patient_across_a_boundary_goes_where_most_of_its_images_are(crossing, expected):
    patients = ["x" if i in crossing else f"p{i}" for i in range(20)]
    found = splits(patients)
    assert found["x"] == expected
    assert set(found.values()) == set(SPLITS)


def test_a_block_that_patients_of_others_fill_is_refused():
    patients = [f"p{i}" for i in range(11)] + ["x"] * 9
    with pytest.raises(InputError, match=r"split 'val' gets no patient: of the 2 images of its block .*by: patients"):
        splits(patients)


def test_a_block_too_small_for_an_image_is_refused():
    with pytest.raises(InputError, match=r"split 'val' gets no patient: of the 0 images .* of the 4 images"):
        splits(list("abcd"), evaluation=0.25, train=0.45, val=0.05, test=0.25)


def test_at_random_shares_are_of_patients_and_no_patient_is_on_two_sides():
    patients = [f"p{i // 3}" for i in range(60)]
    found = splits(patients, by="patients")
    assert [list(found.values()).count(split) for split in SPLITS] == [4, 8, 2, 6]
    assert found != splits(patients, seed=1, by="patients")
    with pytest.raises(InputError, match="split 'val' gets no patient out of 3"):
        splits(list("abc"), by="patients", evaluation=0.3, train=0.3, val=0.05, test=0.35)
