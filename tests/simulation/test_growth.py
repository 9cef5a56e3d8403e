"""Age and circumference of simulated fetuses are one draw: what either tells of the other, and what it does not."""

from types import SimpleNamespace

import numpy as np
import pytest

from pipeline.data.ages import FORMULAS
from pipeline.simulation import VIEWS, plan_case, simulate_case
from pipeline.simulation.head.cohorts import COHORTS
from pipeline.simulation.head.growth import (
    HC_SD,
    LARGEST_MM,
    best_age,
    draw_growth,
    floor_days,
    head_circumference_mm,
)

N = 4_000


@pytest.fixture(scope="module", params=["phantom_a", "phantom_b", "phantom_c"])
def drawn(request) -> SimpleNamespace:
    weights = COHORTS[request.param].population.trimester_weights
    rng = np.random.default_rng(1)
    weeks, hc = np.array([draw_growth(rng, weights) for _ in range(N)]).T
    return SimpleNamespace(weights=weights, days=7 * weeks, hc=hc)


def test_deviations_are_independent_of_the_age(drawn):
    below = drawn.days < 7 * 36  # No head of these is large enough to be cut.
    deviation = drawn.hc[below] / head_circumference_mm(drawn.days[below] / 7) - 1
    assert abs(deviation.mean()) < 3 * HC_SD / np.sqrt(below.sum())
    assert deviation.std() == pytest.approx(HC_SD, rel=0.03)
    assert abs(np.corrcoef(deviation, drawn.days[below])[0, 1]) < 3 / np.sqrt(below.sum())
    assert drawn.hc.max() == LARGEST_MM


def test_the_best_guess_from_hc_errs_by_the_floor(drawn):
    guess, floor = best_age(drawn.hc, drawn.weights)
    errors = np.abs(guess - drawn.days)
    close = 3 * errors.std() / np.sqrt(N)
    assert errors.mean() == pytest.approx(floor_days(drawn.weights), abs=close)
    for low, high in ((90, 150), (150, 200), (240, 300), (300, 340), (LARGEST_MM, LARGEST_MM + 1)):
        some = (drawn.hc >= low) & (drawn.hc < high)
        spread = errors[some].std() / np.sqrt(max(some.sum(), 1))
        assert errors[some].mean() == pytest.approx(floor[some].mean(), abs=3.5 * spread), (low, high)


def test_no_formula_beats_the_floor(drawn):
    for formula in FORMULAS.values():
        assert np.abs(formula.days(drawn.hc) - drawn.days).mean() > floor_days(drawn.weights) + 0.5
    chart = np.interp(drawn.hc, head_circumference_mm(np.arange(10, 41, 0.01)), 7 * np.arange(10, 41, 0.01))
    assert floor_days(drawn.weights) < np.abs(chart - drawn.days).mean() < floor_days(drawn.weights) + 1


def test_the_documented_floors():
    floors = [
        floor_days(COHORTS[name].population.trimester_weights) for name in ("phantom_a", "phantom_b", "phantom_c")
    ]
    assert floors == pytest.approx([3.10, 3.39, 4.86], abs=0.005)
    weights = COHORTS["phantom_a"].population.trimester_weights
    guess, floor = best_age(np.array([100.0, 175, 250, 300, 320]), weights)
    np.testing.assert_allclose(guess, [99.5, 139.5, 184.9, 224.0, 244.5], atol=0.11)
    np.testing.assert_allclose(floor, [1.0, 2.3, 4.2, 6.7, 8.9], atol=0.06)


def test_of_heads_that_nobody_has_no_age_is_told():
    guess, floor = best_age(np.array([5.0, 200, 351, np.nan]), (0.1, 0.6, 0.3))
    assert np.isnan(guess).tolist() == np.isnan(floor).tolist() == [True, False, True, True]


def test_a_floor_is_the_deviation_over_the_rate_of_growth():
    """Where ages are spread evenly a normal deviation has a mean size of .798 standard deviations."""
    median = head_circumference_mm(np.array([30.0, 30.01]))
    rate = np.diff(median)[0] / 0.07
    floor = best_age(median[:1], (0, 0, 1))[1][0]
    assert floor == pytest.approx(np.sqrt(2 / np.pi) * HC_SD * median[0] / rate, rel=0.05)


def test_the_images_of_a_patient_share_her_age():
    plans = [plan_case("phantom_a", index, seed=3) for index in range(10)]
    by_patient: dict = {}
    for plan in plans:
        by_patient.setdefault(plan.patient_number, set()).add(plan.anatomy.targets()["ga_days"])
    assert len(by_patient) < 10 and all(len(ages) == 1 for ages in by_patient.values())
    assert len(set.union(*by_patient.values())) == len(by_patient)


def test_a_case_has_the_age_that_its_brain_was_drawn_for():
    case, plan = simulate_case("phantom_a", 2, seed=0), plan_case("phantom_a", 2, seed=0)
    assert case.ga_source == "simulated" and case.ga_days == 7 * plan.anatomy.patient.weeks
    foreign = simulate_case("phantom_d", 0, seed=0)
    assert (foreign.ga_days, foreign.ga_source) == (None, None)


@pytest.mark.parametrize("view", ["intrapartum", "cervix"])
def test_other_views_have_no_age(view):
    assert not {"ga_days", "ga_source"} & {*VIEWS[view].TARGETS, *plan_case("phantom_a", 0, 0, view).anatomy.targets()}
