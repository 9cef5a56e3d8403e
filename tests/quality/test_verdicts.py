"""Verdicts are rules over records, so records are all they need."""

from dataclasses import replace

import pytest

from pipeline.quality.measures import Measure, find
from pipeline.quality.verdicts import verdicts

ENDS = ("real unseen images", "psfhs images")


def records(**changes):
    """A good set; ``changes``: name → value."""
    values = {
        "kid": Measure("fidelity", "kid", "domain", 0.1, 80, 0.0, ENDS[0], 2.0, ENDS[1]),
        "radiomics": Measure("fidelity", "radiomics", None, 3.0, 80, 2.0, ENDS[0], 50.0, ENDS[1]),
        "imprint": Measure("fidelity", "imprint", None, 0.01, 240, 0.02, ENDS[0], 1.0, "every image"),
        "recall": Measure("coverage", "recall", "domain", 0.9, 80, 0.92, ENDS[0], 0.2, ENDS[1]),
        "coverage": Measure("coverage", "coverage", "domain", 0.9, 80, 0.9, ENDS[0], 0.1, ENDS[1]),
        "diversity": Measure("coverage", "diversity", None, 0.8, 48, 1.0, "other masks", 0.0, "one image a mask"),
        "dice": Measure("mask_agreement", "dice", "head", 0.96, 240, 0.97, "the network", 0.7, "another's mask"),
        "copies": Measure("privacy", "copies", None, 0.0, 240, 0.0, ENDS[0], 1.0, "exact copies"),
        "authenticity": Measure("privacy", "authenticity", None, 0.5, 240, 0.55, ENDS[0], 0.0, "exact copies"),
        "membership": Measure("privacy", "membership", None, 0.52, 200, 0.5, "no leak", 1.0, "all", low=0.45, high=0.6),
    }
    return [replace(one, value=changes.get(name, one.value)) for name, one in values.items()]


def test_a_good_set_is_good_in_all_four():
    assert {one["word"] for one in verdicts(records()).values()} == {"good"}


def test_other_extractors_do_not_decide():
    measures = [*records(), Measure("fidelity", "kid", "inception", 9.0, 80, 0.0, ENDS[0], 1.0, ENDS[1])]
    assert verdicts(measures)["fidelity"]["word"] == "good"


@pytest.mark.parametrize(
    ("question", "changes", "words"),
    [
        ("fidelity", [{"kid": 0.1}, {"kid": 0.6}, {"kid": 1.5}], ["good", "doubtful", "bad"]),
        ("fidelity", [{"imprint": 0.05}, {"imprint": 0.4}], ["good", "doubtful"]),
        ("coverage", [{"recall": 0.9}, {"recall": 0.7}, {"recall": 0.3}], ["good", "doubtful", "bad"]),
        ("coverage", [{"diversity": 0.9}, {"diversity": 0.1}], ["good", "doubtful"]),
        ("mask_agreement", [{"dice": 0.95}, {"dice": 0.9}, {"dice": 0.72}], ["good", "doubtful", "bad"]),
        ("privacy", [{"copies": 0.0}, {"copies": 1 / 240}], ["good", "bad"]),
        ("privacy", [{"authenticity": 0.5}, {"authenticity": 0.1}], ["good", "doubtful"]),
    ],
)
def test_words_follow_the_numbers(question, changes, words):
    assert [verdicts(records(**one))[question]["word"] for one in changes] == words


def test_images_that_are_surely_worse_than_real_are_never_good():
    measures = [one for one in records() if one.name != "radiomics"]
    near = find(records(), "radiomics")[0]
    assert verdicts([*measures, replace(near, low=1.5, high=4.0)])["fidelity"]["word"] == "good"
    assert verdicts([*measures, replace(near, low=2.5, high=4.0)])["fidelity"]["word"] == "doubtful"


def test_an_attack_counts_only_beyond_chance():
    measures = [one for one in records(membership=0.7) if one.name != "membership"]
    attack = find(records(membership=0.7), "membership")[0]
    assert verdicts([*measures, replace(attack, low=0.45)])["privacy"]["word"] == "good"
    assert verdicts([*measures, replace(attack, low=0.6)])["privacy"]["word"] == "doubtful"


def test_one_copy_is_said_in_the_singular():
    assert "1 of 240 image is flagged as a copy" in verdicts(records(copies=1 / 240))["privacy"]["text"]


def test_mask_agreement_never_says_real():
    assert "never says that they look real" in verdicts(records())["mask_agreement"]["text"]


def test_images_that_a_classifier_tells_are_never_good():
    told = Measure(
        "fidelity", "two_sample", "lite0", 0.95, 80, 0.52, "real training images", 1.0, "all", low=0.9, high=0.98
    )

    def answer(**changes):
        return verdicts([*records(), replace(told, **changes)])["fidelity"]

    assert answer()["word"] == "doubtful" and "an AUC of 0.95 (real training images: 0.52)" in answer()["text"]
    for fine in ({"value": 0.6, "low": 0.55}, {"low": 0.45}, {"value": None, "low": None, "high": None}):
        assert answer(**fine)["word"] == "good" and "classifier" not in answer(**fine)["text"]
    assert "classifier" not in answer(best=None)["text"], "without a floor nothing is said"


def test_a_spread_that_is_surely_another_is_never_good():
    spread = Measure("coverage", "brightness_spread", None, 0.6, 240, 1.05, ENDS[0], 0.0, "all alike")

    def answer(**changes):
        return verdicts([*records(), replace(spread, **changes)])["coverage"]

    text = "over images, against those of real training images: brightness 0.6 (real unseen images 1.05)."
    assert answer(low=0.5, high=0.7)["word"] == "doubtful" and text in answer(low=0.5, high=0.7)["text"]
    assert answer(value=1.8, low=1.5, high=2.1)["word"] == "doubtful", "too wide is not real either"
    for fine in ({}, {"low": 0.5, "high": 1.1}, {"value": 1.0, "low": 0.95, "high": 1.04}):
        assert answer(**fine)["word"] == "good"


@pytest.mark.parametrize(("unread", "word"), [(0.02, "good"), (0.3, "doubtful"), (0.9, "bad")])
def test_images_whose_angle_cannot_be_read_count_beside_the_error_of_the_others(unread, word):
    pair = [
        Measure("mask_agreement", "aop_error", None, 3.0, 20, 3.0, "the network", 25.0, "another's mask"),
        Measure("mask_agreement", "aop_unread", None, unread, 200, 0.0, ENDS[0], 1.0, "every image"),
    ]
    assert verdicts([*records(), *pair])["mask_agreement"]["word"] == word
