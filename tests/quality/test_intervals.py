import numpy as np
import pytest

from pipeline.quality.intervals import mean_interval, statistic_interval


def test_an_interval_of_the_mean_covers_it_nineteen_times_in_twenty():
    rng = np.random.default_rng(0)
    covered = [low <= 3 <= high for low, high in (mean_interval(rng.normal(3, 2, 60), i) for i in range(300))]
    assert np.mean(covered) == pytest.approx(0.94, abs=0.03)


def test_one_value_or_none_has_no_interval():
    assert mean_interval(np.array([1.0, np.nan]), 0) == (None, None)
    assert statistic_interval(np.mean, 5, 1.0, 0, 0) == (None, None)


def test_nan_is_left_out():
    values = np.array([1.0, 2.0, 3.0])
    assert mean_interval(np.append(values, np.nan), 0) == mean_interval(values, 0)


def test_a_statistic_that_resampling_raises_is_moved_back():
    """The number of different rows drawn is smaller than the number of rows: its interval is centred all the same."""
    low, high = statistic_interval(lambda rows: len(set(rows)), 100, 100.0, 200, 0)
    assert low < 100 < high
    assert high - low < 15


def test_intervals_repeat_with_the_seed():
    values = np.random.default_rng(0).normal(size=30)
    assert mean_interval(values, 1) == mean_interval(values, 1) != mean_interval(values, 2)
