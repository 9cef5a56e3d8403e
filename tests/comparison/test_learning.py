import numpy as np
import pytest

from pipeline.comparison.report.numbers import in_labels
from pipeline.comparison.scores import Scores
from pipeline.comparison.statistics.estimates import Patients, estimate
from pipeline.comparison.statistics.learning_curve import equivalent, worth
from pipeline.comparison.statistics.summary import Result
from pipeline.config.arms import Arm

SPEC = Arm(extra="synthetic", ratio=4)
LABELS = (5, 10, 20, 40)


@pytest.mark.parametrize("n", LABELS)
def test_a_point_of_the_curve_is_worth_its_own_labels(n):
    curve = np.array([0.80, 0.85, 0.90, 0.95])
    assert equivalent(LABELS, curve, curve[LABELS.index(n)]) == pytest.approx(n)


def test_between_two_points_it_is_straight_over_the_logarithm():
    assert equivalent(LABELS, np.array([0.80, 0.85, 0.90, 0.95]), 0.925) == pytest.approx(np.sqrt(20 * 40))


def test_beyond_the_ends_there_is_no_number():
    curve = np.array([0.80, 0.85, 0.90, 0.95])
    assert equivalent(LABELS, curve, 0.79) == 0
    assert equivalent(LABELS, curve, 0.96) == np.inf
    assert [in_labels(value, (5, 40)) for value in (0, 31.4, np.inf)] == ["fewer than 5", "31", "more than 40"]


def test_a_dip_of_the_curve_is_levelled():
    """Twenty labels below ten: both count as their mean, which ten labels reach."""
    curve = np.array([0.80, 0.90, 0.88, 0.95])
    assert equivalent(LABELS, curve, 0.89) == pytest.approx(10)
    assert 20 < equivalent(LABELS, curve, 0.9) < 40


def world(draws, truth, n_replicates=5, n_patients=60):
    """Scores of a curve that rises 0.03 a doubling, and an arm at 10 labels worth ``truth`` of them."""
    names = tuple(f"p{i}" for i in range(n_patients))
    patient = draws.normal(0, 0.04, n_patients)
    subset = draws.normal(0, 0.008, (n_replicates, 1))

    def scores(labels):
        noise = draws.normal(0, 0.006, (n_replicates, 1)) + draws.normal(0, 0.02, (n_replicates, n_patients))
        dice = 0.8 + 0.03 * np.log2(labels / 5) + patient + subset + noise
        return Scores(names, names, ("head",) * n_patients, {}, np.full(n_patients, np.nan), {"dice": dice})

    table = {("far", "unet", n, "real"): scores(n) for n in LABELS} | {("far", "unet", 10, "more"): scores(truth)}
    patients = Patients(names, 300, draws)
    dice = estimate(table["far", "unet", 10, "more"].per_case("dice"), patients)
    asked = Result("far", "unet", 10, "more", SPEC, n_patients, dice, dice, None, None, (), {}, True)
    return worth(table, [asked], "real", {"far": patients}, 0)[0]


def test_one_patient_is_no_ground_for_a_number_of_labels():
    scores = Scores(("a", "b"), ("p", "p"), ("head",) * 2, {}, np.full(2, np.nan), {"dice": np.full((5, 2), 0.9)})
    patients = Patients(("p", "p"), 10, np.random.default_rng(0))
    dice = estimate(scores.per_case("dice"), patients)
    table = {("far", "unet", n, arm): scores for n in (5, 10) for arm in ("real", "more")}
    asked = Result("far", "unet", 10, "more", SPEC, 2, dice, dice, None, None, (), {}, True)
    assert worth(table, [asked], "real", {"far": patients}, 0) == []


def test_limits_hold_what_the_arm_is_worth():
    """Nominally 95 %; replicates are few, and a bootstrap of five is a little short."""
    draws, held = np.random.default_rng(0), 0
    for _ in range(120):
        one = world(draws, 18)
        held += one.low <= 18 <= one.high
    assert 0.85 <= held / 120 <= 0.99


def test_a_better_arm_is_worth_more_and_replaces_what_it_exceeds_its_own_labels_by():
    low, high = world(np.random.default_rng(1), 12), world(np.random.default_rng(1), 30)
    assert low.value < high.value < np.inf
    assert high.replaced == high.value - 10
    assert high.ends == (5, 40)


def test_one_number_of_labels_makes_no_curve():
    names = ("p0", "p1")
    scores = Scores(names, names, ("head",) * 2, {}, np.full(2, np.nan), {"dice": np.full((1, 2), 0.9)})
    patients = Patients(names, 10, np.random.default_rng(0))
    dice = estimate(scores.per_case("dice"), patients)
    asked = Result("far", "unet", 10, "more", SPEC, 2, dice, dice, None, None, (), {}, True)
    table = {("far", "unet", 10, "real"): scores, ("far", "unet", 10, "more"): scores}
    assert worth(table, [asked], "real", {"far": patients}, 0) == []
