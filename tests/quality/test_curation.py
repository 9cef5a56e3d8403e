"""Thresholds belong to the labels, criteria drop what is worse than they are, and hardness repeats by rank."""

import numpy as np
import pytest

from pipeline.data.case import _PATH_SAFE
from pipeline.quality.selection.curation import (
    CRITERIA,
    blind,
    drops,
    feature_distances,
    repeated_id,
    repeats,
    threshold,
)


def test_distances_are_root_mean_squares_in_standard_deviations_of_the_training_labels():
    training = np.array([[0.0, 10.0], [2.0, 30.0]])
    # Standard deviations 1 and 10; the floor, half of their root mean square, is 3.55.
    scale = np.array([np.sqrt(50.5) / 2, 10])
    image = np.array([[2.0, 50.0], [0.0, 10.0]])
    expected = np.sqrt(np.mean(((image[0] - training[1]) / scale) ** 2))
    np.testing.assert_allclose(feature_distances(image, training), [expected, 0])


def test_distances_do_not_depend_on_the_unit_or_the_origin_of_the_features():
    rng = np.random.default_rng(0)
    images, training = rng.normal(size=(5, 6)), rng.normal(size=(4, 6))
    np.testing.assert_allclose(feature_distances(7 * images + 3, 7 * training + 3), feature_distances(images, training))


def test_a_feature_that_few_labels_share_by_chance_does_not_decide_alone():
    rng = np.random.default_rng(0)
    training = rng.normal(size=(2, 50))
    training[1, 0] = training[0, 0] + 1e-9
    image = training[:1].copy()
    image[0, 0] += 1
    # One typical deviation in one of fifty features: at most 1 / STD_FLOOR typical units, shared by all fifty.
    typical = np.sqrt(np.mean(training.std(axis=0) ** 2))
    assert feature_distances(image, training)[0] == pytest.approx(2 / typical / np.sqrt(50))


def test_features_that_no_label_shows_count_in_usual_units():
    training = np.column_stack([np.zeros(4), [0.0, 1, 2, 3]])
    assert np.isfinite(feature_distances(np.array([[1.0, 0.0]]), training)).all()


@pytest.mark.parametrize("training", [np.array([[1.0, 2.0]]), np.array([[1.0, 2.0]] * 3)], ids=["one", "equal"])
def test_labels_without_spread_leave_features_as_they_are(training):
    distances = feature_distances(np.array([[1.0, 2.0], [4.0, 6.0]]), training)
    np.testing.assert_allclose(distances, [0, 5 / np.sqrt(2)])


@pytest.mark.parametrize(
    ("criterion", "quantile", "expected"),
    [
        ("mask_agreement", 0.0, 0.6),
        ("mask_agreement", 0.25, 0.7),
        ("plausibility", 0.0, 1.0),
        ("plausibility", 0.25, 0.9),
        ("training_distance", 0.0, 0.6),
        ("training_distance", 1.0, 1.0),
    ],
)
def test_a_quantile_of_the_labels_fails_its_own_threshold(criterion, quantile, expected):
    assert threshold(criterion, np.array([0.6, 0.7, 0.8, 0.9, 1.0]), quantile) == pytest.approx(expected)


@pytest.mark.parametrize("criterion", CRITERIA)
def test_a_larger_quantile_keeps_less(criterion):
    rng = np.random.default_rng(0)
    labels, samples = rng.uniform(size=20), {criterion: rng.uniform(size=400)}
    kept = [
        400 - drops(samples, {criterion: threshold(criterion, labels, q)})[criterion].sum() for q in (0.0, 0.05, 0.2, 1)
    ]
    assert kept == sorted(kept, reverse=True)
    assert kept[0] > kept[2] > kept[3]


@pytest.mark.parametrize("criterion", CRITERIA)
@pytest.mark.parametrize(("quantile", "at_most"), [(0.05, 0.08), (0.2, 0.24)])
def test_samples_like_the_labels_lose_about_the_quantile(criterion, quantile, at_most):
    rng = np.random.default_rng(1)
    lost = [
        drops({criterion: rng.normal(size=200)}, {criterion: threshold(criterion, rng.normal(size=40), quantile)})
        for _ in range(300)
    ]
    assert 0.97 * quantile < np.mean([one[criterion].mean() for one in lost]) < at_most


def test_each_criterion_drops_its_own_side_and_spares_the_threshold():
    scores = {name: np.array([0.4, 0.5, 0.6]) for name in CRITERIA}
    dropped = drops(scores, dict.fromkeys(CRITERIA, 0.5))
    assert {name: one.tolist() for name, one in dropped.items()} == {
        "mask_agreement": [True, False, False],
        "plausibility": [False, False, True],
        "training_distance": [True, False, False],
    }


def test_a_head_that_agrees_does_not_make_up_for_a_symphysis_that_does_not():
    labels = np.array([[0.6, 0.9], [0.7, 0.95], [0.8, 0.96]])
    limits = threshold("mask_agreement", labels, 0.0)
    assert limits == [0.6, 0.9]
    samples = np.array([[0.7, 0.95], [0.1, 0.99], [0.9, 0.5], [0.6, 0.9]])
    dropped = drops({"mask_agreement": samples}, {"mask_agreement": limits})["mask_agreement"]
    assert dropped.tolist() == [False, True, True, False]


@pytest.mark.parametrize(("lost", "expected"), [(0, []), (1, []), (2, ["bone"]), (4, ["bone"])])
def test_a_structure_that_the_filter_finds_in_no_label_is_named(lost, expected):
    """A quarter of eight labels of Dice 0 make a threshold of 0, by which nothing is dropped."""
    labels = np.full((8, 2), 0.9)
    labels[:lost, 0] = 0
    limits = {"mask_agreement": threshold("mask_agreement", labels, 0.1)}
    assert blind(limits, ["bone", "head"]) == expected
    gone = drops({"mask_agreement": np.array([[0.0, 0.95]])}, limits)["mask_agreement"]
    assert gone.tolist() == [not expected]
    assert blind(dict.fromkeys(CRITERIA), ["bone", "head"]) == []


def test_one_structure_has_the_threshold_of_a_number():
    labels, samples = np.array([0.6, 0.7, 0.8]), np.array([0.5, 0.65])
    column = threshold("mask_agreement", labels[:, None], 0.5)
    assert column == threshold("mask_agreement", labels, 0.5) == 0.7
    one, other = (drops({"mask_agreement": x}, {"mask_agreement": 0.6}) for x in (samples, samples[:, None]))
    assert one["mask_agreement"].tolist() == other["mask_agreement"].tolist() == [True, False]


def test_a_criterion_that_is_off_drops_nothing():
    assert drops({"mask_agreement": np.zeros(3)}, dict.fromkeys(CRITERIA)) == {}


@pytest.mark.parametrize(
    ("hardness", "expected"), [(0, [1, 1, 1, 1, 1]), (1, [1, 1, 1, 2, 2]), (2, [1, 1, 2, 3, 3]), (4, [1, 2, 3, 4, 5])]
)
def test_the_hardest_of_five_occurs_one_plus_hardness_times(hardness, expected):
    scores = np.array([0.0, 0.01, 0.02, 0.03, 0.9])
    np.testing.assert_array_equal(repeats(scores, hardness), expected)
    order = np.array([3, 0, 4, 1, 2])
    np.testing.assert_array_equal(repeats(scores[order], hardness), np.array(expected)[order])


def test_only_the_rank_of_hardness_counts():
    scores = np.random.default_rng(0).uniform(size=9)
    np.testing.assert_array_equal(repeats(scores, 3), repeats(np.exp(5 * scores), 3))


def test_equally_hard_samples_occur_equally_often():
    np.testing.assert_array_equal(repeats(np.array([0.3, 0.3, 0.3]), 5), [1, 1, 1])
    np.testing.assert_array_equal(repeats(np.array([0.1, 0.3, 0.3]), 5), [1, 6, 6])
    np.testing.assert_array_equal(repeats(np.array([0.7]), 5), [1])


def test_repeated_ids_are_different_and_path_safe():
    ids = [repeated_id(name, turn) for name in ("synthetic-000001", "synthetic-000011") for turn in (1, 2, 3)]
    assert ids[:3] == ["synthetic-000001", "synthetic-000001-x2", "synthetic-000001-x3"]
    assert len(set(ids)) == 6
    assert all(_PATH_SAFE.fullmatch(one) for one in ids)
