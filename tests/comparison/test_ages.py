"""Aggregates of estimated ages, by hand and against scikit-learn."""

import numpy as np
import pytest

from pipeline.comparison.statistics.ages import ages, determination
from pipeline.comparison.statistics.resampling import Patients


def patients_of(count, each=1):
    return Patients([f"p{number // each}" for number in range(count)], 400, 0, "ages")


def test_by_hand():
    days = np.array([90.0, 150.0, 160.0, 230.0])
    estimated = np.array([[93.0, 140.0, 160.0, np.nan], [91.0, 160.0, 160.0, 233.0]])
    low, high = estimated - 5, estimated + 5
    found = ages(days, estimated, patients_of(4), low, high)
    assert found.mae.value == pytest.approx((3 + 10 + 0 + 280 + 1 + 10 + 0 + 3) / 8)
    assert {name: one.value for name, one in found.by_trimester.items()} == pytest.approx(
        {"first": 2.0, "second": 5.0, "third": (280 + 3) / 2}
    )
    assert (found.missing.part, found.missing.whole) == (1, 8)
    assert (found.covered.part, found.covered.whole) == (5, 8) and found.width.value == pytest.approx(10)
    errors = np.array([3, -10, 0, 1, 10, 0, 3.0])
    assert found.agreement.bias == pytest.approx(errors.mean()) and found.agreement.total == 8
    low, high = found.agreement.limits
    assert (low, high) == pytest.approx((errors.mean() - 1.96 * errors.std(ddof=1),
                                         errors.mean() + 1.96 * errors.std(ddof=1)))  # fmt: skip
    np.testing.assert_array_equal(found.agreement.differences, [3, -10, 0])


def test_trimesters_that_do_not_occur_have_no_row_and_no_limits_no_coverage():
    days = np.linspace(100, 180, 10)
    found = ages(days, days[None] + 1, patients_of(10))
    assert list(found.by_trimester) == ["second"] and found.covered is None and found.width is None
    assert found.by_trimester["second"].value == found.mae.value == pytest.approx(1)


def test_r2_is_scikit_learns_and_its_interval_holds_it():
    from sklearn.metrics import r2_score

    rng = np.random.default_rng(0)
    days = rng.uniform(90, 280, 80)
    estimated = days + rng.normal(0, 20, (1, 80))
    found = determination(days, estimated, patients_of(80, each=2))
    assert found.value == pytest.approx(r2_score(days, estimated[0]))
    assert found.patients.low < found.value < found.patients.high and found.patients.n == 40
    several = determination(days, np.concatenate([estimated, days[None]]), patients_of(80))
    assert several.value == pytest.approx(1 - (estimated - days).var() / 2 / days.var(), rel=0.02)


@pytest.mark.parametrize(("estimated", "value"), [(np.full(6, 200.0), 0.0), (np.full(6, 300.0), None)])
def test_r2_of_constants(estimated, value):
    days = np.array([100.0, 150, 200, 200, 250, 300])
    found = determination(days, estimated[None], patients_of(6))
    assert found.value == pytest.approx(0.0) if value == 0 else found.value < -1
    assert determination(np.full(6, 200.0), estimated[None], patients_of(6)).value is None


def test_one_patient_has_no_interval():
    found = ages(np.array([100.0, 120.0]), np.array([[101.0, 119.0]]), Patients(["a", "a"], 10, 0))
    assert found.mae.patients is None and found.determination.patients is None and found.agreement.patients is None
