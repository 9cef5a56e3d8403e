"""A cohort's window: images of more than 8 bits become grey as it says, and it applies to nothing else."""

import numpy as np
import pytest
from PIL import Image
from pydantic import ValidationError

from pipeline.cohorts.readers import read_cohort
from pipeline.config.cohorts import Cohort
from pipeline.data.structures import Structure
from pipeline.run.errors import InputError

SETTINGS = {"role": "held_out", "reader": "folder", "raw": "raw", "labelled": True}
GREY = np.arange(0, 240, 2, dtype=np.uint8).reshape(10, 12)


@pytest.fixture
def cohort(tmp_path):
    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
    Image.fromarray(GREY.astype(np.uint16) * 10).save(tmp_path / "images/a.png")
    mask = np.zeros((10, 12), np.uint8)
    mask[3:7, 4:9] = 1
    Image.fromarray(mask).save(tmp_path / "masks/a.png")

    def read(**changes):
        return list(read_cohort("mine", Cohort(**SETTINGS, **changes), (Structure("head", "head"),), tmp_path))

    return read


def test_deep_images_become_grey(cohort):
    (case,) = cohort(window=[0, 2550])
    np.testing.assert_array_equal(case.image, GREY)


def test_deep_images_without_a_window_are_refused(cohort):
    with pytest.raises(InputError, match=r"'mine': file 'images/a\.png' has 16-bit values from 0 to 2380; say .*win"):
        cohort()


def test_a_window_that_does_not_apply_is_refused(cohort, tmp_path):
    Image.fromarray(GREY).save(tmp_path / "images/a.png")
    with pytest.raises(InputError, match="to which no window applies"):
        cohort(window=[0, 2550])


@pytest.mark.parametrize("window", [[5, 5], [9, 2], [1], [0, float("inf")], ["a", 2]])
def test_a_window_that_is_none(window):
    with pytest.raises(ValidationError, match="window"):
        Cohort(**SETTINGS, window=window)
