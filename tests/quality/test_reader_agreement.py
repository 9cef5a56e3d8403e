import math
from functools import partial

import numpy as np
import pytest

from pipeline.quality import reader_agreement
from pipeline.quality.intervals import stratified_interval
from pipeline.quality.reader_agreement import (
    as_text,
    fleiss_kappa,
    in_words,
    score_agreement,
    score_pooled,
    weighted_kappa,
    wilson_interval,
)
from pipeline.quality.roc import auc

# Fourteen raters, ten subjects, five categories: the worked example of Wikipedia's page on Fleiss' kappa.
WORKED = np.array(
    [
        [0, 0, 0, 0, 14],
        [0, 2, 6, 4, 2],
        [0, 0, 3, 5, 6],
        [0, 3, 9, 2, 0],
        [2, 2, 8, 1, 1],
        [7, 7, 0, 0, 0],
        [3, 2, 6, 3, 0],
        [2, 5, 3, 2, 2],
        [6, 5, 2, 1, 0],
        [0, 2, 2, 3, 7],
    ]
)
TRUTH = np.arange(40) % 2 == 1


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch):
    monkeypatch.setattr(reader_agreement, "stratified_interval", partial(stratified_interval, resamples=400))


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def guesses(readers: int, seed: int = 0) -> np.ndarray:
    return rng(seed).integers(1, 5, (readers, len(TRUTH))).astype(float)


@pytest.mark.parametrize("successes, n", [(0, 7), (3, 10), (42, 80), (20, 20)])
def test_wilson_interval_is_wilsons_formula(successes, n):
    z, p = 1.959963984540054, successes / n
    centre = (p + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * math.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    assert wilson_interval(successes, n) == pytest.approx((centre - half, centre + half), abs=1e-12)


@pytest.mark.parametrize("successes, n", [(0, 0), (3, 2), (-1, 2)])
def test_a_share_that_is_none_has_no_interval(successes, n):
    with pytest.raises(ValueError):
        wilson_interval(successes, n)


def test_auc_counts_pairs_and_half_of_the_ties():
    scores = guesses(1)[0]
    pairs = [(a > b) + (a == b) / 2 for a in scores[TRUTH] for b in scores[~TRUTH]]
    assert auc(scores, TRUTH) == pytest.approx(np.mean(pairs), abs=1e-12)


def test_auc_of_the_truth_its_opposite_and_one_answer_for_all():
    assert auc(TRUTH.astype(float), TRUTH) == 1
    assert auc(-TRUTH.astype(float), TRUTH) == 0
    assert auc(np.full(len(TRUTH), 2.0), TRUTH) == 0.5


def test_auc_depends_on_the_order_of_the_votes_alone():
    scores = guesses(1)[0]
    assert auc(np.exp(scores), TRUTH) == auc(scores, TRUTH)
    assert auc(-scores, ~TRUTH) == pytest.approx(auc(scores, TRUTH))


def test_auc_of_one_kind_is_not_defined():
    assert math.isnan(auc(np.arange(3.0), np.ones(3, dtype=bool)))


def test_fleiss_kappa_of_the_worked_example():
    assert fleiss_kappa(WORKED) == pytest.approx(0.210, abs=5e-4)


def test_fleiss_kappa_does_not_know_the_order_of_images_and_categories():
    assert fleiss_kappa(WORKED[::-1, [3, 1, 4, 0, 2]]) == pytest.approx(fleiss_kappa(WORKED))


def test_fleiss_kappa_of_full_agreement_and_of_two_who_always_differ():
    assert fleiss_kappa(np.array([[3, 0], [0, 3]])) == 1
    assert fleiss_kappa(np.array([[1, 1], [1, 1]])) == -1
    assert math.isnan(fleiss_kappa(np.array([[2, 0], [2, 0]])))


def test_weighted_kappa_is_that_of_the_table_of_votes():
    first, second = guesses(2)
    table = np.zeros((4, 4))
    np.add.at(table, (first.astype(int) - 1, second.astype(int) - 1), 1 / len(first))
    weights = np.subtract.outer(np.arange(4), np.arange(4)) ** 2
    expected = np.outer(table.sum(axis=1), table.sum(axis=0))
    kappa = 1 - (weights * table).sum() / (weights * expected).sum()
    assert weighted_kappa(first, second) == pytest.approx(kappa, abs=1e-12)


def test_weighted_kappa_forgives_near_votes_more_than_far_ones():
    votes = np.tile([1.0, 2.0, 3.0, 4.0], 10)
    near = np.where(votes < 4, votes + 1, 3)
    assert 1 == weighted_kappa(votes, votes) > weighted_kappa(votes, near) > weighted_kappa(votes, 5 - votes) == -1
    assert math.isnan(weighted_kappa(np.full(3, 2.0), np.full(3, 2.0)))


def test_bootstrap_of_a_mean_is_near_its_textbook_interval():
    values = rng().normal(size=400)
    low, high = stratified_interval(lambda i: values[i].mean(), np.zeros(400), rng(1))
    half = 1.96 * values.std() / 20
    assert (low, high) == pytest.approx((values.mean() - half, values.mean() + half), abs=0.015)


def test_bootstrap_draws_as_many_of_each_kind_as_there_are():
    strata = np.array([True] * 3 + [False] * 7)
    seen = []
    stratified_interval(lambda i: seen.append(strata[i].sum()) or 0.0, strata, rng(), resamples=50)
    assert set(seen) == {3}


def test_bootstrap_leaves_undefined_resamples_out():
    low, high = stratified_interval(lambda i: 1.0 if i[0] else math.nan, np.zeros(4), rng(), resamples=50)
    assert (low, high) == (1, 1)
    assert all(map(math.isnan, stratified_interval(lambda _: math.nan, np.zeros(4), rng(), resamples=5)))


def test_a_reader_is_scored_as_counted_by_hand():
    truth = np.array([True, True, True, True, False, False, False, False])
    votes = np.array([4, 3, 2, np.nan, 1, 1, 2, 4.0])
    score = score_pooled(votes[None], truth, rng())
    assert (score["n"], score["unrated"]) == (7, 1)
    assert score["accuracy"] == pytest.approx(5 / 7)
    assert score["accuracy_interval"] == wilson_interval(5, 7)
    assert (score["sensitivity"], score["specificity"]) == (pytest.approx(2 / 3), 0.75)
    # Of twelve pairs nine are in order and two tie.
    assert score["auc"] == pytest.approx((3.5 + 3 + 2.5) / 12)
    assert score["auc_interval"][0] < score["auc"] < score["auc_interval"][1]


def test_a_reader_of_one_kind_has_no_auc():
    score = score_pooled(np.where(TRUTH, 4.0, np.nan)[None], TRUTH, rng())
    assert score["auc"] is score["auc_interval"] is score["specificity"] is None
    assert score["sensitivity"] == 1


def test_a_reader_who_repeats_another_brings_no_certainty():
    votes = guesses(1)
    once = score_pooled(votes, TRUTH, rng())
    thrice = score_pooled(np.repeat(votes, 3, axis=0), TRUTH, rng())
    width, wider = (np.diff(one["accuracy_interval"])[0] for one in (once, thrice))
    assert thrice["accuracy"] == once["accuracy"]
    assert wider == pytest.approx(width, rel=0.2)
    assert thrice["auc_interval"] == pytest.approx(once["auc_interval"], abs=0.05)


def test_votes_that_are_all_right_still_have_an_interval():
    right = np.where(TRUTH, 4.0, 1.0)
    score = score_pooled(np.stack([right, right]), TRUTH, rng())
    assert score["accuracy_interval"] == wilson_interval(40, 40)
    assert score["auc"] == 1


def test_a_pooled_interval_covers_one_half_for_readers_who_guess():
    inside = 0
    for seed in range(40):
        votes = guesses(2, seed)
        right = (votes >= 3) == TRUTH
        low, high = stratified_interval(lambda i, right=right: right[:, i].mean(), TRUTH, rng(seed), resamples=300)
        inside += low <= 0.5 <= high
    assert inside >= 34


def test_agreement_is_of_images_all_have_rated():
    votes = guesses(3)
    votes[0, :4] = np.nan
    votes[2, 10] = np.nan
    score = score_agreement(votes, TRUTH, rng())
    kept = score_agreement(np.delete(votes, [0, 1, 2, 3, 10], axis=1), np.delete(TRUTH, [0, 1, 2, 3, 10]), rng())
    assert score == kept
    assert score["n"] == 35
    assert score["fleiss_interval"][0] < score["fleiss_kappa"] < score["fleiss_interval"][1]
    assert score["weighted_interval"][0] < score["weighted_kappa"] < score["weighted_interval"][1]


def test_fleiss_kappa_sees_the_call_and_not_how_sure_it_was():
    sure = np.where(guesses(2) >= 3, 4.0, 1.0)
    unsure = np.where(sure == 4, 3.0, 2.0)
    mixed = np.stack([sure[0], unsure[1]])
    assert score_agreement(mixed, TRUTH, rng())["fleiss_kappa"] == score_agreement(sure, TRUTH, rng())["fleiss_kappa"]


def test_one_reader_or_no_common_image_is_no_agreement():
    assert score_agreement(guesses(1), TRUTH, rng()) is None
    apart = np.where(np.stack([TRUTH, ~TRUTH]), 2.0, np.nan)
    assert score_agreement(apart, TRUTH, rng()) is None


@pytest.mark.parametrize(
    "accuracy, interval, start",
    [
        (0.52, (0.44, 0.60), "Readers could not tell them apart: accuracy 52 %, 95 % interval 44 to 60 %, n = 2 × 80."),
        (0.70, (0.61, 0.79), "Readers told them apart: accuracy 70 %"),
        (0.30, (0.21, 0.39), "Readers told them apart but took one kind for the other: accuracy 30 %"),
        (0.55, (0.35, 0.75), "Readers could not tell them apart: accuracy 55 %"),
    ],
)
def test_the_sentence_follows_the_interval(accuracy, interval, start):
    text = in_words({"accuracy": accuracy, "accuracy_interval": interval, "n": 160, "unrated": 0}, 2, 80)
    assert text.startswith(start)
    assert ("up to 75 % is not ruled out" in text) == (interval[1] == 0.75)


def test_the_sentence_counts_the_votes_where_some_are_missing():
    text = in_words({"accuracy": 0.5, "accuracy_interval": (0.45, 0.55), "n": 157, "unrated": 3}, 1, 160)
    assert text.startswith("The reader could not") and text.endswith("n = 157 votes of 1 × 160.")


def test_undefined_values_are_dashes_in_the_table():
    reader = {"reader": "ana", **score_pooled(np.where(TRUTH, 4.0, np.nan)[None], TRUTH, rng()), "median_seconds": 2.0}
    text = as_text({"readers": [reader], "pooled": reader, "agreement": None, "in_words": "So."})
    row = text.splitlines()[1].split()
    assert row[:3] == ["ana", "20", "20"]
    assert row.count("–") == 2
    assert text.endswith("\n\nSo.")
