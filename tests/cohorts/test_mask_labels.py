"""Values of masks that are no class indices."""

import numpy as np
import pytest

from pipeline.cohorts.mask_labels import declared_classes, from_iugc, refuse_sum
from pipeline.run.errors import InputError


def mask(*values):
    return np.array([values], np.uint8)


@pytest.mark.parametrize(
    ("stored", "expected", "told"),
    [
        ((0, 7, 8), [0, 1, 2], 1),
        ((0, 8, 8), [0, 2, 2], 1),
        ((0, 7, 7), [0, 1, 1], 1),
        ((0, 1, 2), [0, 1, 2], 0),
        ((0, 3, 2), [0, 3, 2], 0),  # another's affair
        ((0, 0, 0), [0, 0, 0], 0),
    ],
)
def test_seven_and_eight_are_symphysis_and_head(stored, expected, told):
    notes = []
    assert from_iugc(mask(*stored), "a.png", notes.append).tolist() == [expected]
    assert len(notes) == told and all("7 and 8" in note for note in notes)


@pytest.mark.parametrize(
    ("stored", "message"),
    [
        ((0, 7, 2), "mask 'a.png' holds values 0, 2, 7: 7 and 8 are .* store 0, 1 and 2, or 0, 7 and 8"),
        ((0, 7, 8, 255), "mask 'a.png' holds values 0, 7, 8, 255"),
        ((0, 7, 8, 15), r"mask 'a.png' holds the value 15, .* \(7 \+ 8\); .* store it as 7 or 8"),
        ((0, 15), "holds the value 15"),
    ],
)
def test_mixed_conventions_are_refused(stored, message):
    with pytest.raises(InputError, match=message):
        from_iugc(mask(*stored), "a.png", lambda text: None)


@pytest.mark.parametrize(("n_classes", "top"), [(3, 2), (4, 3), (2, 3)])
def test_other_values_are_no_sums(n_classes, top):
    refuse_sum(mask(0, 1, top), n_classes, "a.png")


def test_the_sum_of_two_masks_is_named():
    with pytest.raises(InputError, match=r"mask 'a.png' holds the value 3, .* overlap .* \(1 \+ 2\); .* as 1 or 2"):
        refuse_sum(mask(0, 1, 3), 3, "a.png")


def test_declared_values():
    assert declared_classes(mask(0, 8, 7), (0, 7, 8), "a").tolist() == [[0, 2, 1]]
    assert declared_classes(mask(255, 0), (255, 0), "a").tolist() == [[0, 1]]
    with pytest.raises(InputError, match="mask 'a' holds the value 9, declared under values are 0, 7, 8; declare it"):
        declared_classes(mask(0, 9, 7), (0, 7, 8), "a")
