"""The table at a threshold: counts, failures, shares of nothing."""

import numpy as np
import pytest

from pipeline.comparison.statistics.threshold import ThresholdTable, threshold_table

NAN = np.nan


def test_counts_and_shares():
    reference = np.array([130, 120, 125, 119, 100, 90, 140, 80, 121, NAN])
    predicted = np.array([120, 150, 110, 121, 90, 119.9, NAN, NAN, 122, 130])
    table = threshold_table(predicted, reference)
    assert table == ThresholdTable(
        threshold=120, true_positive=3, false_positive=1, false_negative=1, true_negative=2, failed_positive=1,
        failed_negative=1,
    )  # fmt: skip
    assert (table.n, table.n_valid) == (9, 7)
    assert (table.sensitivity, table.specificity) == pytest.approx((3 / 5, 2 / 4))
    assert (table.valid_sensitivity, table.valid_specificity) == pytest.approx((3 / 4, 2 / 3))
    assert (table.positive_predictive_value, table.negative_predictive_value) == pytest.approx((3 / 4, 2 / 3))


def test_replicates_count_each():
    table = threshold_table(np.array([[130.0, 90.0], [100.0, NAN]]), np.array([[125.0, 100.0]] * 2))
    assert (table.true_positive, table.false_negative, table.true_negative, table.failed_negative) == (1, 1, 1, 1)


def test_shares_of_no_case_are_none():
    table = threshold_table(np.array([NAN]), np.array([100.0]))
    assert table.specificity == 0
    assert table.sensitivity is table.valid_specificity is table.positive_predictive_value is None


def test_a_perfect_measurement():
    values = np.linspace(70, 170, 101)
    table = threshold_table(values, values)
    assert (table.sensitivity, table.specificity, table.true_positive) == (1, 1, 51)
    assert table.positive_predictive_value == table.negative_predictive_value == 1
