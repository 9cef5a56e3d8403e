"""Agreement of angles, the plot of it, and the trivial predictor."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from pipeline.comparison.median_angle import median_angles
from pipeline.comparison.report.agreement import bland_altman, shown_arms
from pipeline.comparison.statistics.angles import Angles, agreement
from pipeline.comparison.statistics.resampling import Patients
from pipeline.comparison.statistics.threshold import SHARES, threshold_shares, threshold_table
from pipeline.config.arms import Arm
from pipeline.data.structures import of_task
from pipeline.tasks.metrics import METRICS
from pipeline.tasks.segmentation.biometry.official import official_aop
from pipeline.tasks.segmentation.biometry.progression import measure_progression
from pipeline.tasks.segmentation.scores import pair_of
from tests.comparison.pair_world import TASK, pair_case

NAN = np.nan
PAIR = pair_of(of_task(TASK["structures"]))


def people(count):
    return Patients([f"p{i}" for i in range(count)], 200, 0)


def test_bias_and_limits_are_those_of_the_differences():
    reference = np.tile([100.0, 110, 120, 130], (2, 1))
    predicted = reference + np.array([[1, 3, -2, NAN], [2, 0, 4, 6]])
    found = agreement(predicted, reference, people(4))
    differences = [1, 3, -2, 2, 0, 4, 6]
    assert (found.bias, found.sd) == pytest.approx((2, np.std(differences, ddof=1)))
    assert found.limits == pytest.approx((2 - 1.96 * found.sd, 2 + 1.96 * found.sd))
    assert (found.n, found.total) == (7, 8)
    assert found.differences.tolist() == [1, 3, -2] and found.means.tolist() == [100.5, 111.5, 119]
    assert found.patients.low < 2 < found.patients.high


def test_nothing_measured_has_no_agreement():
    reference = np.full((2, 3), 100.0)
    found = agreement(np.full((2, 3), NAN), reference, people(3))
    assert (found.bias, found.sd, found.limits, found.n, found.total) == (None, None, None, 0, 6)


def test_shares_with_intervals_are_those_of_the_table():
    draws = np.random.default_rng(0)
    reference = np.tile(draws.normal(120, 15, 40), (3, 1))
    predicted = reference + draws.normal(0, 10, reference.shape)
    predicted[draws.random(reference.shape) < 0.1] = NAN
    table, shares = threshold_table(predicted, reference), threshold_shares(predicted, reference, people(40))
    assert list(shares) == list(SHARES)
    for name, share in shares.items():
        assert share.value == getattr(table, name) and share.patients.low < share.value < share.patients.high


def angles(arm, segmenter="sam", labels=10, shift=2.0, cohort="psfhs"):
    draws = np.random.default_rng(len(arm))
    reference = np.tile(draws.uniform(80, 150, 12), (2, 1))
    found = reference + shift + draws.normal(0, 4, reference.shape)
    return Angles(
        cohort=cohort, segmenter=segmenter, labels=labels, arm=arm, errors={}, shares={},
        agreement=agreement(found, reference, people(12)), at_threshold=threshold_table(found, reference),
    )  # fmt: skip


SPECS = {"real": Arm(extra="none")} | {f"x{n}": Arm(extra="synthetic", ratio=n) for n in (1, 2, 4)}


def result(arm, score, segmenter="sam", labels=10):
    synthetic, score = arm != "real", SimpleNamespace(mean=score)
    return SimpleNamespace(segmenter=segmenter, labels=labels, arm=arm, score=score, better=-1, synthetic=synthetic)


RESULTS = [result(arm, score) for arm, score in (("real", 9), ("x1", 6), ("x2", 8), ("x4", 5))]


def test_the_baseline_and_the_best_synthetic_arms_are_drawn_at_the_largest_number_of_labels():
    fewer = [result(arm, 1.0, labels=5) for arm in SPECS]
    assert shown_arms([*fewer, *RESULTS], "real") == {"sam": ["real", "x1", "x4"]}
    assert shown_arms([RESULTS[0]], "real") == {"sam": ["real"]}


def test_the_plot_repeats_names_its_panels_and_writes_its_lines():
    own = [angles(arm) for arm in SPECS]
    svg = bland_altman(own, RESULTS, "real", SPECS)
    assert svg == bland_altman(own, RESULTS, "real", SPECS)
    assert 'aria-label="Agreement of predicted and true angle of progression, cohort psfhs"' in svg
    assert all(f">{arm}, 10 labels<" in svg for arm in ("real", "x1", "x4")) and "x2," not in svg
    real = own[0].agreement
    for value in (real.bias, *real.limits):
        assert f"{value:+.2f}".replace("-", "−") in svg


def test_the_plot_of_two_models_and_of_what_could_not_be_measured():
    lost = np.full((2, 12), NAN)
    own = [angles("real"), replace(angles("real", "unet"), agreement=agreement(lost, lost + 1, people(12)))]
    results = [RESULTS[0], result("real", 8, "unet")]
    svg = bland_altman(own, results, "real", SPECS)
    assert ">sam, real, 10 labels<" in svg and "nothing could be measured" in svg


def test_the_median_predictor_errs_by_the_mean_distance_from_the_training_median():
    train, test = ([pair_case(name, i, "train") for i in range(5)] for name in "ab")
    found = median_angles(train, {"b": test}, PAIR)["b"]
    for metric, measure in (
        ("aop_error_deg", lambda one: measure_progression(one == 1, one == 2).aop_deg),
        ("aop_official_error_deg", lambda one: official_aop(one == 1, one == 2)),
    ):
        own, other = ([measure(case.mask) for case in cases] for cases in (train, test))
        assert found[metric].angle == np.median(own) and (found[metric].n_train, found[metric].n) == (5, 5)
        assert found[metric].error == pytest.approx(np.abs(np.array(other) - np.median(own)).mean())
        assert found[metric].own_angle == np.median(other)
        assert found[metric].own_error == pytest.approx(np.abs(np.array(other) - np.median(other)).mean())
        # No other constant errs less on these cases.
        assert found[metric].own_error < found[metric].error
    assert set(found) <= set(METRICS)


def test_masks_without_an_angle_have_no_part_in_the_median():
    cases = [pair_case("a", i, "train") for i in range(3)]
    empty = replace(cases[0], mask=np.zeros_like(cases[0].mask))
    assert median_angles([*cases, empty], {"a": [*cases, empty]}, PAIR) == median_angles(cases, {"a": cases}, PAIR)
    assert median_angles([empty], {"a": cases}, PAIR) == {"a": {}}
    assert median_angles(cases, {"a": cases}, None) == {}
