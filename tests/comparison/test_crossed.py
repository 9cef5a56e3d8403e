import numpy as np
import pytest
from scipy import stats

from pipeline.comparison.statistics.crossed import Crossed, crossed, holm
from pipeline.comparison.statistics.estimates import paired_difference, verdicts
from pipeline.comparison.statistics.resampling import LEVEL, Patients


def names(n, per_patient=1):
    return [f"p{i // per_patient}" for i in range(n)]


def world(draws, replicates, patients, cases, *, patient, replicate, both, case, effect):
    """Differences (R, patients * cases) of a method whose true gain is ``effect``."""
    shape = (replicates, patients)
    table = effect + draws.normal(0, patient, (1, patients)) + draws.normal(0, replicate, (replicates, 1))
    table = table + draws.normal(0, both, shape)
    return np.repeat(table, cases, axis=1) + draws.normal(0, case, (replicates, patients * cases))


def test_without_patient_variance_it_is_students_interval_over_replicates():
    means = np.array([0.01, 0.03, 0.02, -0.01, 0.04])
    found = crossed(np.repeat(means[:, None], 30, axis=1), names(30))
    assert found.interval(0.95) == pytest.approx(stats.t.interval(0.95, 4, loc=means.mean(), scale=stats.sem(means)))
    assert found.p_value == pytest.approx(stats.ttest_1samp(means, 0).pvalue)


def test_without_replicate_variance_it_is_students_interval_over_patients():
    values = np.random.default_rng(0).normal(0.02, 0.05, 25)
    found = crossed(np.repeat(values[None], 7, axis=0), names(25))
    expected = stats.t.interval(0.95, 24, loc=values.mean(), scale=stats.sem(values))
    assert found.interval(0.95) == pytest.approx(expected)


def test_copies_of_a_patients_case_add_no_certainty():
    values = np.random.default_rng(1).normal(0.02, 0.05, (5, 12))
    once, copied = crossed(values, names(12)), crossed(np.repeat(values, 4, axis=1), names(48, 4))
    assert (copied.error, copied.freedom) == (pytest.approx(once.error), pytest.approx(once.freedom))


def test_no_less_certain_than_its_larger_part():
    draws = np.random.default_rng(2)
    for _ in range(20):
        values = world(draws, 5, 20, 1, patient=0.03, replicate=0.02, both=0.02, case=0, effect=0)
        of_replicates = values.mean(axis=1).std(ddof=1) / np.sqrt(5)
        assert crossed(values, names(20)).error >= of_replicates * (1 - 1e-12)


def test_one_replicate_or_one_patient_tells_nothing_of_both():
    assert crossed(np.zeros((1, 4)), names(4)) is None
    assert crossed(np.zeros((4, 3)), ["p"] * 3) is None


def test_equal_values_everywhere():
    assert crossed(np.zeros((5, 8)), names(8)).p_value == 1
    assert crossed(np.full((5, 8), 0.1), names(8)).p_value == pytest.approx(0)


def test_more_power_needs_a_larger_difference():
    one = Crossed(0.0, 0.01, 12.0)
    assert one.detectable(0.05, 0.9) > one.detectable(0.05, 0.8) > one.detectable(0.05, 0.5)
    assert one.detectable(0.05, 0.5) == pytest.approx(one.interval(0.95)[1])
    assert one.detectable(0.01, 0.8) > one.detectable(0.05, 0.8)


SIZES = [
    {"patient": 0.03, "replicate": 0.01, "both": 0.02, "case": 0.03},
    {"patient": 0.05, "replicate": 0.0, "both": 0.01, "case": 0.0},
    {"patient": 0.01, "replicate": 0.02, "both": 0.03, "case": 0.02},
]


@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("cases", [1, 3])
def test_intervals_hold_a_known_effect_at_their_nominal_rate(sizes, cases):
    """Of 800 intervals 95 % hold the truth, give or take three standard errors (2.3 points)."""
    draws, held = np.random.default_rng(3), 0
    for _ in range(800):
        values = world(draws, 5, 40, cases, **sizes, effect=0.02)
        low, high = crossed(values, names(40 * cases, cases)).interval(0.95)
        held += low <= 0.02 <= high
    assert held / 800 == pytest.approx(0.95, abs=0.023)


def test_a_missing_effect_is_found_no_more_often_than_said_and_a_large_one_mostly():
    """Grids of three arms on two cohorts without any effect: at most 5 % of them may hold a "helps"."""
    draws, wrong, found = np.random.default_rng(4), 0, 0
    patients = Patients(names(40), 200, 0)
    for _ in range(200):
        grid = [
            paired_difference(world(draws, 5, 40, 1, **SIZES[0], effect=effect), np.zeros((5, 40)), patients)
            for effect in (0, 0, 0, 0, 0, 0.05)
        ]
        *null, large = (one.word for one in verdicts(grid, 1))
        wrong += "helps" in null
        found += large == "helps"
    assert wrong / 200 <= 0.05
    assert found / 200 > 0.9


def test_the_detectable_difference_is_detected_four_times_in_five():
    draws, found, size = np.random.default_rng(5), 0, 0.0
    for _ in range(300):
        size += crossed(world(draws, 5, 40, 1, **SIZES[0], effect=0), names(40)).detectable(0.05, 0.8) / 300
    for _ in range(600):
        found += crossed(world(draws, 5, 40, 1, **SIZES[0], effect=size), names(40)).p_value < 1 - LEVEL
    assert found / 600 == pytest.approx(0.8, abs=0.07)


def test_holm_of_a_known_family():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.9]) == [1.0, 1.0]
    assert holm([0.02]) == [0.02]
    assert holm([]) == []
