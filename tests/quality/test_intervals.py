import numpy as np
import pytest

from pipeline.quality.intervals import half_sample_interval, mean_measure


def mean_interval(values, seed):
    measure = mean_measure("imprint", values, seed, (0.0, "real"), (1.0, "all"))
    return measure.low, measure.high


def test_an_interval_of_the_mean_covers_it_nineteen_times_in_twenty():
    rng = np.random.default_rng(0)
    covered = [low <= 3 <= high for low, high in (mean_interval(rng.normal(3, 2, 60), i) for i in range(300))]
    assert np.mean(covered) == pytest.approx(0.94, abs=0.03)


def test_one_value_or_none_has_no_interval():
    assert mean_interval(np.array([1.0, np.nan]), 0) == (None, None)
    assert half_sample_interval(np.mean, 5, 1.0, 0, 0) == (None, None)


def test_nan_is_left_out():
    values = np.array([1.0, 2.0, 3.0])
    assert mean_interval(np.append(values, np.nan), 0) == mean_interval(values, 0)
    measure = mean_measure("dice", np.append(values, np.nan), 0, (1.0, "real"), (0.0, "another"), "head", spread=True)
    assert (measure.question, measure.value, measure.n, measure.spread) == ("mask_agreement", 2, 3, values.std())
    none = mean_measure("dice", np.full(2, np.nan), 0, (1.0, "real"), (0.0, "another"))
    assert (none.value, none.n, none.low) == (None, 0, None)


def test_halves_of_a_sample_have_the_interval_of_the_mean_in_closed_form():
    """The mean of n/2 of n rows, drawn without replacement, varies by s²/n, as the mean of a sample of n does."""
    values = np.random.default_rng(0).normal(3, 2, 200)
    low, high = half_sample_interval(lambda rows: values[rows].mean(), 200, values.mean(), 4000, 0)
    half = 1.96 * values.std(ddof=1) / np.sqrt(200)
    assert (low, high) == pytest.approx((values.mean() - half, values.mean() + half), abs=0.03 * half)


def test_a_statistic_that_depends_on_the_number_of_rows_is_centred_on_its_value():
    assert half_sample_interval(len, 100, 100.0, 20, 0) == (100, 100)


def test_several_statistics_have_limits_each():
    values = np.random.default_rng(0).normal(size=(60, 3))
    low, high = half_sample_interval(lambda rows: values[rows].mean(axis=0), 60, values.mean(axis=0), 50, 0)
    one = half_sample_interval(lambda rows: values[rows, 1].mean(), 60, values[:, 1].mean(), 50, 0)
    assert low.shape == high.shape == (3,)
    assert (low[1], high[1]) == pytest.approx(one)


def test_intervals_repeat_with_the_seed():
    values = np.random.default_rng(0).normal(size=30)
    assert mean_interval(values, 1) == mean_interval(values, 1) != mean_interval(values, 2)
