import numpy as np
import pytest

from pipeline.comparison.report.numbers import in_labels
from pipeline.comparison.scores import Scores
from pipeline.comparison.statistics.estimates import estimate
from pipeline.comparison.statistics.learning_curve import equivalent, monotone, worth
from pipeline.comparison.statistics.resampling import Patients
from pipeline.comparison.statistics.summary import Result
from pipeline.config.arms import Arm
from pipeline.tasks.metrics import METRICS
from tests.comparison.cells import person

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
    assert equivalent(LABELS, monotone(curve), 0.89) == pytest.approx(10)
    assert 20 < equivalent(LABELS, monotone(curve), 0.9) < 40


def scores_of(patients, values, metric="dice"):
    cases = [person(f"c{i}", patient) for i, patient in enumerate(patients)]
    return Scores(cases, 0, METRICS[metric], ("head",), "head", {("head", metric): values})


def result(scores, patients):
    score = estimate(scores.primary, patients)
    return Result(
        cohort="far", segmenter="unet", labels=10, arm="more", score=score, difference=score, spec=SPEC,
        metric=scores.metric, beyond_warped=None, regions={}, replicate_means={}, counts={}, asked=True,
    )  # fmt: skip


def world(draws, truth, metric="dice", n_replicates=5, n_patients=60):
    """Scores of a curve that rises 0.03 a doubling (falls, where lower is better), and an arm at 10 labels worth
    ``truth`` of them."""
    names = [f"p{i}" for i in range(n_patients)]
    patient = draws.normal(0, 0.04, n_patients)
    subset = draws.normal(0, 0.008, (n_replicates, 1))
    sign = 1 if METRICS[metric].better == "higher" else -1

    def scores(labels):
        noise = draws.normal(0, 0.006, (n_replicates, 1)) + draws.normal(0, 0.02, (n_replicates, n_patients))
        return scores_of(names, sign * (0.8 + 0.03 * np.log2(labels / 5) + patient + subset + noise), metric)

    table = {("far", "unet", n, "real"): scores(n) for n in LABELS} | {("far", "unet", 10, "more"): scores(truth)}
    patients = Patients(names, 300, int(draws.integers(1 << 30)))
    return worth(table, [result(table["far", "unet", 10, "more"], patients)], "real", {"far": patients})[0]


@pytest.mark.parametrize(("names", "labels"), [(("p", "p"), (5, 10)), (("p", "q"), (10,))])
def test_one_patient_or_one_number_of_labels_makes_no_curve(names, labels):
    scores, patients = scores_of(names, np.full((5, 2), 0.9)), Patients(names, 10, 0)
    table = {("far", "unet", n, arm): scores for n in labels for arm in ("real", "more")}
    assert worth(table, [result(scores, patients)], "real", {"far": patients}) == []


def test_where_lower_is_better_the_same_arm_is_worth_the_same():
    higher, lower = (world(np.random.default_rng(2), 18, metric) for metric in ("dice", "hc_error_mm"))
    assert (lower.value, lower.low, lower.high) == pytest.approx((higher.value, higher.low, higher.high))
    assert lower.result.score.mean == pytest.approx(-higher.result.score.mean)


def test_limits_hold_what_the_arm_is_worth():
    """Nominally 95 %; replicates are few, and a bootstrap of five is a little short."""
    draws, held = np.random.default_rng(0), 0
    for _ in range(120):
        one = world(draws, 18)
        held += one.low <= 18 <= one.high
    assert 0.85 <= held / 120 <= 0.99


def test_a_better_arm_is_worth_more():
    low, high = world(np.random.default_rng(1), 12), world(np.random.default_rng(1), 30)
    assert low.value < high.value < np.inf
    assert high.ends == (5, 40)
