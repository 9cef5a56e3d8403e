"""The answers in words, and what the page is made of besides its numbers."""

from dataclasses import replace
from types import SimpleNamespace

import pytest

from pipeline.comparison.report import answers, numbers, pictures
from pipeline.comparison.report import page as report
from pipeline.comparison.statistics.crossed import Crossed
from pipeline.comparison.statistics.estimates import Estimate, Interval, Verdict
from pipeline.comparison.statistics.learning_curve import Worth
from pipeline.config.arms import Arm
from pipeline.run.errors import InputError


def result(word, mean=0.01, replicates=5, extra="synthetic", shuffled=False, patients=None, both=None):
    return SimpleNamespace(
        asked=extra == "synthetic" and not shuffled,
        spec=Arm(extra=extra, ratio=1, shuffled=shuffled),
        difference=SimpleNamespace(mean=mean, patients=patients, both=both),
        dice=SimpleNamespace(n_replicates=replicates),
        verdict=Verdict(word, word),
    )


@pytest.mark.parametrize(
    ("words", "head"),
    [
        (["helps"], "Yes, on the held-out cohort"),
        (["helps", "helps"], "Yes, in all 2"),
        (["helps", "not shown"], "It helped in 1 of 2"),
        (["hurts", "helps"], "Mixed"),
        (["hurts", "not shown"], "No: it hurt in 1 of 2"),
        (["not shown", "not shown"], "No difference shown"),
        (["helps", "too few"], "Yes, on the held-out cohort"),
        (["helps", "not shown", "too few"], "It helped in 1 of 2"),
        ([], "Not asked in this run"),
    ],
)
def test_headline_says_no_more_than_the_verdicts(words, head):
    assert answers.answer([result(word) for word in words], "real")[0].startswith(head)


@pytest.mark.parametrize("word", ["too few"])
def test_few_replicates_make_no_claim(word):
    head, sentence = answers.answer([result(word, replicates=4)], "real")
    assert head == "Too few replicates to say"
    assert "help" not in sentence and "+1.00 points" in sentence


def test_what_could_not_be_tested_is_counted():
    _, lead = answers.answer([result("helps"), result("too few")], "real")
    assert lead.startswith("Over 2 held-out comparisons") and "1 of them had too few patients" in lead


@pytest.mark.parametrize(
    ("patients", "both", "lost"),
    [
        ((-0.04, -0.02), None, True),
        ((-0.04, 0.01), None, False),
        ((-0.04, -0.02), (-0.05, -0.01), True),
        ((-0.04, -0.02), (-0.07, 0.01), False),
        (None, None, False),
    ],
)
def test_the_shuffled_control_has_to_lose_beyond_chance(patients, both, lost):
    limits = {"patients": patients and Interval(*patients, 9), "both": both and Interval(*both, 9)}
    ((fine, text),) = answers.controls([result("too few", mean=-0.03, shuffled=True, **limits)])
    assert fine == lost and "−3.00 points" in text and ("suspicion" in text) != lost


@pytest.mark.parametrize(
    ("name", "raw", "phantom"),
    [
        ("phantom_b", "elsewhere", True),
        ("far", "data/raw/phantom/phantom_b", True),
        ("spanish", "data/raw/spanish", False),
    ],
)
def test_phantoms_are_known_by_name_or_folder(name, raw, phantom):
    assert report.is_phantom(name, raw) is phantom


def test_numbers_are_written_for_people():
    assert [numbers.points(value) for value in (0.0123, -0.004, -0.00001)] == ["+1.23", "−0.40", "0.00"]
    assert [numbers.significant(value) for value in (46.27, 0.00366, 0.0, 812.4, -0.0021)] == [
        "46.3",
        "0.00366",
        "0.00",
        "812",
        "−0.00210",
    ]
    assert numbers.span((3, 3)) == "3" and numbers.span((3, 5)) == "3–5" and numbers.span(None) == "–"


def test_gaps_between_names_and_files_are_errors():
    with pytest.raises(InputError, match="dvc repro score"):
        pictures.sample_pictures([{"id": "s", "mask_agreement": "0.9", "nearest": "x", "distance": "1"}], [], [])


def compared(word, mean, cohort="far", arm="four", ratio=4, **spec):
    spec = {"extra": "synthetic", "curated": True, **spec}
    difference = Estimate(mean, None, None, Crossed(mean, 0.005, 10.0), 60, 5)
    one = result(word, mean)
    detectable = None if word == "too few" else 0.019
    one.verdict = Verdict(word, {"too few": "too few replicates to say: 2 of 5"}.get(word, word), None, detectable)
    one.difference, one.spec = difference, Arm(ratio=ratio, **spec)
    one.cohort, one.arm, one.segmenter, one.labels = cohort, arm, "sam", 20
    return one


@pytest.mark.parametrize(
    ("word", "mean", "text"),
    [
        ("helps", 0.031, "helps by 3.1 Dice points, 95 % interval +1.99 to +4.21, n = 60 patients, 5 replicates"),
        ("hurts", -0.031, "hurts by 3.1 Dice points, 95 % interval −4.21 to −1.99, n = 60 patients, 5 replicates"),
        (
            "not shown",
            0.004,
            "no evidence: +0.40 points, 95 % interval −0.71 to +1.51, n = 60 patients, 5 replicates; "
            "1.90 would have been found",
        ),
        ("too few", 0.004, "too few replicates to say: 2 of 5 (+0.40 points, n = 60 patients, 5 replicates)"),
    ],
)
def test_a_claim_says_how_much_how_sure_and_on_whom(word, mean, text):
    assert answers.claim(compared(word, mean)) == text


def test_advice_is_the_smallest_ratio_that_helps_everywhere():
    grid = [
        compared("not shown", 0.01, arm="one", ratio=1), compared("helps", 0.02, "near", "one", 1),
        compared("helps", 0.02), compared("helps", 0.03, "near"),
        compared("helps", 0.04, arm="eight", ratio=8), compared("helps", 0.05, "near", "eight", 8),
    ]  # fmt: skip
    ((segmenter, labels, sentence),) = answers.advice(grid, "real")
    assert (segmenter, labels) == ("sam", 20)
    assert sentence == "use “four” (synthetic ×4, curated): +2.00 points on far, +3.00 points on near"
    ((*_, sentence),) = answers.advice(grid[:2], "real")
    assert sentence == "“one” helps on near only: +1.00 points on far, +2.00 points on near"


def test_advice_claims_nothing_that_no_verdict_says():
    ((*_, sentence),) = answers.advice(
        [compared("not shown", 0.01), compared("hurts", -0.02, arm="one", ratio=1)], "real"
    )
    assert (
        sentence
        == "stay with “real”: no ratio is shown to help; the highest mean is that of “four”, +1.00 points on far"
    )
    ((*_, sentence),) = answers.advice([compared("too few", 0.01)], "real")
    assert sentence.startswith("too few replicates to say: 2 of 5; the highest mean")
    unasked = compared("helps", 0.1)
    unasked.asked = False
    assert answers.advice([unasked], "real") == []


def test_advice_says_what_an_arm_is_worth_in_labels():
    grid = [compared("helps", 0.02), compared("helps", 0.03, "near")]
    worths = [Worth("far", "sam", 20, "four", 0.9, 31.2, 25.0, 44.0, (5, 50))]
    ((*_, sentence),) = answers.advice(grid, "real", worths)
    assert sentence.endswith("+2.00 points on far, worth 31 labels (25 to 44), +3.00 points on near")
    unsure = [compared("not shown", 0.02)]
    assert "worth" not in answers.advice(unsure, "real", worths)[0][-1]
    dipped = [replace(worths[0], value=15.0, low=0.0)]
    assert "worth" not in answers.advice(grid, "real", dipped)[0][-1], "no more than its own labels"
