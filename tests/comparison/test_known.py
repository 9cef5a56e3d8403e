"""Means and shares of what not every case has, with intervals over patients."""

import numpy as np
import pytest

from pipeline.comparison.statistics.known import known_mean, known_share
from pipeline.comparison.statistics.resampling import Patients

NAN = np.nan


def people(count, each=1):
    return Patients([f"p{i // each}" for i in range(count * each)], 2000, 0)


def test_of_values_that_are_all_known_the_mean_and_interval_are_the_usual_ones():
    values, patients = np.random.default_rng(0).normal(5, 2, (3, 40)), people(20, 2)
    found = known_mean(values, patients)
    assert found.value == pytest.approx(values.mean()) and (found.known, found.total) == (120, 120)
    usual = patients.interval(values.mean(axis=0))
    assert (found.patients.low, found.patients.high) == pytest.approx((usual.low, usual.high))


def test_unknown_values_have_no_weight_in_any_replicate():
    values = np.array([[1.0, NAN, 3.0], [NAN, NAN, 8.0]])
    found = known_mean(values, people(3))
    assert (found.value, found.known, found.total) == (4.0, 3, 6)
    assert 1 <= found.patients.low <= 4 <= found.patients.high <= 8
    nothing = known_mean(np.full((2, 3), NAN), people(3))
    assert (nothing.value, nothing.patients, nothing.known) == (None, None, 0)
    assert known_mean(np.ones((2, 3)), people(1, 3)).patients is None, "one patient"


def share(part, whole, patients):
    return known_share(np.atleast_2d(part).astype(bool), np.atleast_2d(whole).astype(bool), patients)


def test_of_single_cases_the_interval_is_wilsons():
    """81 of 263: 0.2553 to 0.3662 (Newcombe, Statistics in Medicine 1998, table I)."""
    part = np.arange(263) < 81
    found = share(part, np.ones(263), people(263))
    assert (found.part, found.whole, found.value) == (81, 263, 81 / 263)
    assert (found.patients.low, found.patients.high) == pytest.approx((0.2553, 0.3662), abs=3e-4)


def test_replicates_and_cases_that_say_the_same_of_a_patient_add_nothing():
    part = np.arange(30) < 12
    alone = share(part, np.ones(30), people(30))
    again = known_share(np.tile(part, (5, 1)), np.ones((5, 30), bool), people(30))
    many = share(np.repeat(part, 4), np.ones(120), people(30, 4))
    for other in (again, many):
        assert (other.patients.low, other.patients.high) == pytest.approx((alone.patients.low, alone.patients.high))


def test_a_share_of_all_or_none_has_an_interval_with_a_width():
    """10 of 10: 0.7225 to 1 (Wilson)."""
    found = share(np.ones(20), np.ones(20), people(10, 2))
    assert (found.patients.low, found.patients.high) == pytest.approx((0.7225, 1), abs=1e-4)
    none = share(np.zeros(20), np.ones(20), people(10, 2))
    assert (none.patients.low, none.patients.high) == pytest.approx((0, 0.2775), abs=1e-4)


def test_patients_outside_the_whole_do_not_count():
    whole = np.arange(20) < 10
    found = share(whole, whole, people(20))
    assert found.patients.n == 10 and found.patients.low == pytest.approx(0.7225, abs=1e-4)


def test_a_share_of_nothing_and_of_one_patient():
    assert share(np.zeros(4), np.zeros(4), people(4)).value is None
    one = share([1, 0, 0, 0], [1, 1, 0, 0], people(2, 2))
    assert one.value == 0.5 and one.patients is None


def test_the_interval_holds_the_true_share_as_often_as_it_says():
    """Patients of five alike cases each, shares .8 on average: 95 of 100 intervals hold it, about."""
    draws, patients, held = np.random.default_rng(1), people(60, 5), []
    for _ in range(300):
        part = draws.random(300) < np.repeat(draws.beta(1.6, 0.4, 60), 5)
        limits = share(part, np.ones(300), patients).patients
        held.append(limits.low <= 0.8 <= limits.high)
    assert 0.91 <= np.mean(held) <= 0.985
