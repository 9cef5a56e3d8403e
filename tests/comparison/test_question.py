"""What the question is asked of, what it is corrected with, and what stands beside it."""

import pytest

from pipeline.comparison.statistics.summary import asked_cohorts, families, in_question, patients_of, summarise
from pipeline.config.arms import Arm
from tests.comparison.cells import ARMS, grid, load, row, write_cells


@pytest.mark.parametrize(
    ("spec", "asked"),
    [
        ({"extra": "synthetic"}, True),
        ({"extra": "synthetic", "real": 0}, False),
        ({"extra": "synthetic", "real": 0.5}, False),
        ({"extra": "synthetic", "pretrain": 0.5}, False),
        ({"extra": "synthetic", "shuffled": True}, False),
        ({"extra": "synthetic", "curated": True, "generous": True}, False),
        ({"extra": "synthetic", "augment": "strong"}, False),
        ({"extra": "synthetic", "validated": True}, False),
        ({"extra": "warped"}, False),
    ],
)
def test_the_question_is_asked_of_arms_that_differ_in_their_synthetic_cases_alone(spec, asked):
    assert in_question(Arm(ratio=2, **spec), ARMS["real"]) is asked


def test_a_strong_baseline_is_asked_about_strong_arms():
    strong = Arm(extra="none", augment="strong")
    assert in_question(Arm(extra="synthetic", ratio=2, augment="strong"), strong)
    assert not in_question(ARMS["synthetic"], strong)


def test_only_what_is_asked_is_corrected_with_what_is_asked(tmp_path):
    arms = ARMS | {"strong": Arm(extra="synthetic", ratio=2, augment="strong")}
    rows = [row(id_, 0.8, cohort=cohort) for cohort in ("far", "own") for id_ in "ab"]
    write_cells(tmp_path, {f"sam-10-0-{arm}": rows for arm in arms})
    scores = load(tmp_path, grid(arms=arms), cohorts=["far", "own"])
    results = summarise(scores, arms, "real", ["far"], patients_of(scores, 50, 0))
    named = [[(results[place].cohort, results[place].arm) for place in ones] for ones in families(results, ["far"])]
    assert named == [[("far", "synthetic")], [("far", "strong"), ("own", "synthetic"), ("own", "strong")]]


def test_without_a_held_out_cohort_the_test_split_of_the_training_cohort_is_asked(smoke_config):
    cohorts = smoke_config.cohorts
    assert asked_cohorts(cohorts) == ["phantom_b", "phantom_c"]
    own = {name: one for name, one in cohorts.items() if one.role != "held_out"}
    assert asked_cohorts(own) == ["phantom_a"]


@pytest.mark.parametrize(
    "other", [{"real": 0}, {"augment": "strong"}, {"pretrain": 0.5}, {"validated": True}, {"ratio": 4}]
)
def test_synthetic_arms_are_held_against_warped_ones_that_are_else_alike(tmp_path, other):
    arms = ARMS | {"warped": Arm(extra="warped", ratio=2), "other": Arm(**{"extra": "synthetic", "ratio": 2, **other})}
    write_cells(tmp_path, {f"sam-10-0-{arm}": [row("a", 0.8), row("b", 0.7)] for arm in arms})
    scores = load(tmp_path, grid(arms=arms))
    results = summarise(scores, arms, "real", ["far"], patients_of(scores, 50, 0))
    assert [one.arm for one in results if one.beyond_warped] == ["synthetic"]
