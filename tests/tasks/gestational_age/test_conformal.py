"""Conformal intervals: their quantile in closed form, coverage on exchangeable draws, patients who count once."""

import math

import numpy as np
import pytest

from pipeline.run.errors import InputError
from pipeline.tasks.gestational_age.conformal import calibrate, needed_patients


def calibrated(scores, patients=None, level=0.9, spread=None):
    scores = np.asarray(scores, float)
    patients = [f"p{number}" for number in range(len(scores))] if patients is None else patients
    return calibrate(scores, np.zeros(len(scores)), spread, patients, fitted_on=["t"], level=level)


@pytest.mark.parametrize("level", [0.5, 0.8, 0.9, 0.95])
@pytest.mark.parametrize("n", [1, 4, 9, 10, 19, 20, 39, 100, 199])
def test_with_a_case_each_it_is_the_split_conformal_quantile(n, level):
    scores = np.random.default_rng(n).permutation(n) + 1.0
    rank = math.ceil((n + 1) * level - 1e-9)
    assert calibrated(scores, level=level).factor == (rank if rank <= n else math.inf)
    assert calibrated(scores, level=level).enough == (n >= needed_patients(level))


def test_how_many_patients_it_takes():
    assert [needed_patients(level) for level in (0.5, 0.8, 0.9, 0.95, 0.99)] == [1, 4, 9, 19, 99]


def test_too_few_patients_have_an_infinite_interval_and_it_is_said(caplog):
    found = calibrated([1.0, 2.0, 3.0], level=0.95)
    assert "3 validation patients allow no finite interval of level 0.95, which takes 19" in caplog.text
    assert not found.enough and [limit.tolist() for limit in found.interval(np.array([150.0]))] == [
        [-math.inf],
        [math.inf],
    ]


def test_a_patient_counts_once_however_many_cases_she_has():
    singles = list(range(1, 20))
    found = calibrated(singles + [100] * 50, [f"p{n}" for n in singles] + ["many"] * 50, level=0.9)
    assert found.factor == calibrated([*singles, 100], level=0.9).factor == 19
    assert (found.cases, found.patients) == (69, 20)
    thirds = calibrated([1, 1, 1] * 19, [f"p{n // 3}" for n in range(57)], level=0.95)
    assert thirds.factor == 1, "sums of thirds are taken for whole"


@pytest.mark.parametrize(("cases_each", "normalised"), [(1, False), (1, True), (3, False)])
def test_coverage_on_exchangeable_draws(cases_each, normalised):
    """Of 4,000 draws of 24 validation patients and one new patient at least a share of 0.9, and hardly more than it."""
    rng, level, patients, covered = np.random.default_rng(0), 0.9, 24, []
    names = np.repeat([f"p{number}" for number in range(patients)], cases_each)
    for _ in range(4000):
        # Cases of a patient share an error: they are not exchangeable with those of others one by one.
        shared = np.repeat(rng.normal(size=patients + 1), cases_each)
        scale = rng.uniform(1, 10, len(shared))
        errors = scale * (shared + 0.3 * rng.normal(size=len(shared)))
        spread = scale if normalised else None
        held = slice(0, -cases_each)
        found = calibrate(errors[held], np.zeros(len(names)), None if spread is None else spread[held], names,
                          fitted_on=[], level=level)  # fmt: skip
        low, high = found.interval(np.zeros(1), None if spread is None else spread[-1:])
        covered.append(low[0] <= errors[-1] <= high[0])
    # (n + 1) × 0.9 rounded up to whole patients: 23 of 25.
    assert level - 0.015 < np.mean(covered) < 23 / 25 + 0.025


def test_intervals_follow_a_predicted_spread_and_are_narrower_for_it():
    rng = np.random.default_rng(0)
    spread = rng.uniform(1, 20, 400)
    errors = spread * rng.normal(size=400)
    names = [f"p{number}" for number in range(400)]
    plain, scaled = (calibrate(errors, np.zeros(400), one, names, fitted_on=[]) for one in (None, spread))
    low, high = scaled.interval(np.full(400, 100.0), spread)
    np.testing.assert_allclose((high - low) / spread, 2 * scaled.factor)
    assert (high - low).mean() < 0.95 * 2 * plain.factor
    with pytest.raises(ValueError, match="the same is needed here"):
        scaled.interval(np.zeros(1))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"fitted_on": ["x", "b"]}, "patient 'b' is in training and in validation"),
        ({"level": 1.0}, "a level of 1.0 is no probability"),
        ({"days": np.array([1.0, np.nan])}, "must be finite, and spreads positive"),
        ({"spread": np.array([1.0, 0.0])}, "must be finite, and spreads positive"),
        ({"days": np.empty(0), "estimated": np.empty(0), "patients": []}, "no validation cases"),
    ],
)
def test_bad_input_is_named(change, told):
    given = {"days": np.ones(2), "estimated": np.zeros(2), "spread": None, "patients": ["a", "b"], "fitted_on": []}
    given |= change
    places = [given.pop(name) for name in ("days", "estimated", "spread", "patients")]
    with pytest.raises(InputError, match=told), np.errstate(divide="ignore"):
        calibrate(*places, **given)
