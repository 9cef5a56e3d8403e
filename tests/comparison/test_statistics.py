import numpy as np
import pytest
from scipy import stats

from pipeline.comparison.statistics.crossed import Crossed
from pipeline.comparison.statistics.estimates import (
    Estimate,
    estimate,
    mean_of_known,
    paired_difference,
    replicate_interval,
    verdicts,
)
from pipeline.comparison.statistics.resampling import Interval, Patients


def rng(seed=0):
    return np.random.default_rng(seed)


def names(n, per_patient=1):
    return [f"p{i // per_patient}" for i in range(n)]


def width(interval):
    return interval.high - interval.low


def patient_interval(values, of_cases, resamples, seed=0):
    return Patients(of_cases, resamples, seed).interval(values)


def test_a_mean_leaves_out_what_is_not_known():
    assert mean_of_known([0.2, None, 0.4]) == mean_of_known(np.array([0.2, np.nan, 0.4])) == pytest.approx(0.3)
    assert mean_of_known([None]) is None and mean_of_known([]) is None


def test_replicate_interval_is_students():
    means = [0.91, 0.93, 0.90, 0.95, 0.92]
    found = replicate_interval(means)
    low, high = stats.t.interval(0.95, 4, loc=np.mean(means), scale=stats.sem(means))
    assert (found.low, found.high, found.n) == (pytest.approx(low), pytest.approx(high), 5)


def test_one_replicate_or_patient_has_no_interval():
    assert replicate_interval([0.9]) is None
    assert patient_interval(rng().random(6), ["p"] * 6, 100) is None


def test_patient_interval_of_single_cases_is_close_to_the_normal_one():
    values = rng().normal(0.9, 0.05, 400)
    found = patient_interval(values, names(400), 4000, 1)
    half = 1.96 * values.std() / 20
    assert found.n == 400
    assert (found.low, found.high) == (
        pytest.approx(values.mean() - half, abs=4e-4),
        pytest.approx(values.mean() + half, abs=4e-4),
    )


def test_patient_interval_covers_the_truth():
    """About 95 % of intervals from 40 patients hold the true mean; percentile limits fall a little short."""
    draws = rng(2)
    held = 0
    for i in range(300):
        per_patient = draws.normal(0.5, 0.1, 40)
        values = np.repeat(per_patient, 2) + draws.normal(0, 0.05, 80)
        found = patient_interval(values, names(80, 2), 200, i)
        held += found.low <= 0.5 <= found.high
    assert 0.89 <= held / 300 <= 0.98


def test_copies_of_a_patients_case_add_no_certainty():
    values = rng(3).random(20)
    once = patient_interval(values, names(20), 3000)
    copied = patient_interval(np.repeat(values, 9), names(180, 9), 3000)
    naive = patient_interval(np.repeat(values, 9), names(180), 3000)
    assert width(copied) == pytest.approx(width(once), rel=1e-9)
    assert width(naive) < 0.5 * width(copied)


def test_cases_weigh_equally_however_they_are_spread_over_patients():
    values = np.array([1.0, 1.0, 1.0, 0.0])
    found = estimate(values[None], Patients(["a", "a", "a", "b"], 500, 0))
    assert found.mean == 0.75
    assert (found.patients.low, found.patients.high) == (0, 1)


def test_pairing_removes_what_arms_share():
    """Cases and replicates differ far more than arms do: only the paired difference sees the gain."""
    draws = rng(4)
    baseline = 0.8 + draws.normal(0, 0.05, (5, 1)) + draws.normal(0, 0.08, (1, 60))
    arm = baseline + 0.01 + draws.normal(0, 0.002, (5, 60))
    patients = Patients(names(60), 1000, 0)
    difference = paired_difference(arm, baseline, patients)
    assert difference.mean == pytest.approx(0.01, abs=0.001)
    assert difference.patients.side == difference.replicates.side == 1
    assert width(difference.patients) < 0.1 * width(estimate(arm, patients).patients)
    mirrored = paired_difference(baseline, arm, patients)
    assert (mirrored.mean, mirrored.patients.low) == pytest.approx((-difference.mean, -difference.patients.high))


def test_pairs_need_equal_shapes():
    with pytest.raises(ValueError, match="same replicates and cases"):
        paired_difference(np.zeros((2, 3)), np.zeros((1, 3)), Patients(names(3), 10, 0))


def test_same_seed_same_interval():
    values = rng().random(30)
    assert patient_interval(values, names(30), 100, 7) == patient_interval(values, names(30), 100, 7)


def difference(patients, replicates, n=5, error=0.001):
    return Estimate(
        mean=float(np.mean(patients)),
        patients=Interval(*patients, 20),
        replicates=Interval(*replicates, n) if n > 1 else None,
        crossed=Crossed(float(np.mean(patients)), error, 8.0) if n > 1 else None,
        n_cases=20,
        n_patients=20,
        n_replicates=n,
    )


def verdict(one, better=1):
    return verdicts([one], better)[0]


@pytest.mark.parametrize(
    ("patients", "replicates", "error", "word"),
    [
        ((0.01, 0.02), (0.005, 0.03), 0.001, "helps"),
        ((-0.02, -0.01), (-0.03, -0.005), 0.001, "hurts"),
        ((0.01, 0.02), (0.005, 0.03), 0.01, "not shown"),
        ((0.01, 0.02), (-0.01, 0.04), 0.001, "not shown"),
        ((-0.01, 0.02), (0.01, 0.02), 0.001, "not shown"),
        ((0.01, 0.02), (-0.02, -0.01), 0.001, "not shown"),
        ((0.0, 0.02), (0.01, 0.02), 0.001, "not shown"),
    ],
)
def test_a_verdict_needs_every_interval_on_one_side(patients, replicates, error, word):
    assert verdict(difference(patients, replicates, error=error)).word == word


def test_of_a_metric_where_lower_is_better_a_negative_difference_helps():
    low, high = difference((-0.02, -0.01), (-0.03, -0.005)), difference((0.01, 0.02), (0.005, 0.03))
    assert [verdict(one, -1).word for one in (low, high)] == ["helps", "hurts"]
    assert verdicts([low], -1, {1: "better", -1: "worse"})[0].text == "better"
    assert verdict(low, -1).p_value == verdict(low).p_value and verdict(low, -1).detectable == verdict(low).detectable


def test_the_more_is_asked_the_more_it_takes():
    """p = .02 for each: enough alone, not among four; those too few to say do not count."""
    one = difference((0.01, 0.02), (0.005, 0.03), error=0.0052)
    assert verdict(one).word == "helps"
    assert {found.word for found in verdicts([one] * 4, 1)} == {"not shown"}
    few = difference((0.01, 0.02), (0.005, 0.03), 2)
    assert [found.word for found in verdicts([few, one, few], 1)] == ["too few", "helps", "too few"]
    assert verdicts([one] * 4, 1)[0].detectable > verdict(one).detectable


@pytest.mark.parametrize("n", [1, 2, 3, 4])
@pytest.mark.parametrize("sign", [1, -1])
def test_fewer_than_five_replicates_never_help_or_hurt(n, sign):
    limits = tuple(sorted((sign * 0.1, sign * 0.2)))
    found = verdict(difference(limits, limits, n))
    assert found.word == "too few"
    assert found.text == f"too few replicates to say: {n} of 5"


def test_one_patient_is_too_few():
    values = np.full((5, 4), 0.1)
    assert verdict(estimate(values, Patients(["p"] * 4, 100, 0))).text.startswith("too few patients")
