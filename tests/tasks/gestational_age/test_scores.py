"""Scores of single ages, by hand."""

import numpy as np
import pytest

from pipeline.tasks.gestational_age.scores import TRIMESTERS, WORST_ERROR_DAYS, per_case, trimester


@pytest.mark.parametrize(
    ("weeks", "days", "name"),
    [(13, 6, "first"), (14, 0, "second"), (27, 6, "second"), (28, 0, "third"), (41, 0, "third"), (6, 0, "first")],
)
def test_trimesters_begin_at_14_and_28_completed_weeks(weeks, days, name):
    assert TRIMESTERS[trimester(np.array([7.0 * weeks + days]))[0]] == name


def test_scores_by_hand():
    found = per_case(*(np.array(values) for values in (
        [100.0, 150.0, 200.0, 250.0], [103.0, 140.0, np.nan, 250.0], [98.0, 141.0, np.nan, -np.inf],
        [108.0, 149.0, np.nan, np.inf])))  # fmt: skip
    np.testing.assert_array_equal(found["error"], [3, -10, np.nan, 0])
    np.testing.assert_array_equal(found["absolute_error"], [3, 10, WORST_ERROR_DAYS, 0])
    np.testing.assert_array_equal(found["missing"], [0, 0, 1, 0])
    np.testing.assert_array_equal(found["covered"], [1, 0, 0, 1])
    np.testing.assert_array_equal(found["width"], [10, 8, np.nan, np.inf])
    assert set(per_case(np.ones(1), np.ones(1))) == {"error", "absolute_error", "missing"}
