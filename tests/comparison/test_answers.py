"""The answers in words, and what the page is made of besides its numbers."""

from dataclasses import replace
from types import SimpleNamespace

import pytest

from pipeline.comparison.report import answers, numbers
from pipeline.comparison.report import page as report
from pipeline.comparison.statistics.crossed import Crossed
from pipeline.comparison.statistics.estimates import Estimate, Verdict
from pipeline.comparison.statistics.learning_curve import Worth
from pipeline.comparison.statistics.resampling import Interval
from pipeline.config.arms import Arm
from pipeline.config.task import PAIRED
from pipeline.tasks.metrics import METRICS, PAIR


def result(word, mean=0.01, replicates=5, extra="synthetic", shuffled=False, patients=None, both=None, metric="dice"):
    better = 1 if METRICS[metric].better == "higher" else -1
    return SimpleNamespace(
        metric=METRICS[metric],
        better=better,
        gain=better * mean,
        asked=extra == "synthetic" and not shuffled,
        spec=Arm(extra=extra, ratio=1, shuffled=shuffled),
        difference=SimpleNamespace(mean=mean, patients=patients, both=both),
        score=SimpleNamespace(n_replicates=replicates),
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


@pytest.mark.parametrize(
    ("words", "head"),
    [
        (["helps"], "Yes, on the test split of psfhs"),
        (["hurts"], "No: it hurt on the test split of psfhs"),
        (["helps", "helps"], "Yes, in all 2 comparisons on the test split of psfhs"),
        (["helps", "not shown"], "It helped in 1 of 2 comparisons on the test split of psfhs; in the others"),
        (["not shown", "not shown"], "No difference shown on the test split of psfhs"),
    ],
)
def test_a_run_without_a_held_out_cohort_claims_nothing_of_one(words, head):
    found, lead = answers.answer([result(word) for word in words], "real", "the test split of psfhs")
    assert found.startswith(head) and "held-out" not in found + lead and "on the test split of psfhs, " in lead


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


@pytest.mark.parametrize(
    ("metric", "regions", "sentence"),
    [
        ("dice", ("bone", "skull"), "A case counts with its mean over structures (bone, skull)."),
        ("hc_error_mm", ("skull",), "A case counts with the value of skull."),
        ("hd_px", ("bone", "skull"), "A case counts with its mean over structures (bone, skull)."),
        ("aop_error_deg", (PAIR,), "measured between symphysis and head; a prediction that cannot be measured counts "
         "with an error of 180°."),
        ("challenge_score", (PAIR,), "a missing structure counts with Dice 0"),
    ],
)  # fmt: skip
def test_the_page_says_how_a_case_comes_by_its_value(metric, regions, sentence):
    one = SimpleNamespace(metric=METRICS[metric], regions={region: {metric: (1.0, 9)} for region in (*regions, "all")})
    assert sentence in answers.counted(one, ("bone", "skull"))


def test_of_one_structure_the_sentence_names_none():
    one = SimpleNamespace(metric=METRICS["dice"], regions={"head": {"dice": (1.0, 9)}})
    assert answers.counted(one, ("head",)) == "A case counts with its mean over structures."


def test_every_metric_of_the_pair_that_may_decide_says_what_a_failure_costs():
    of_pair = {name for name in PAIRED if name not in ("hd_px", "asd_official_px")}
    assert set(answers._FAILED) == of_pair


def test_degrees_follow_their_number_at_once():
    angle, error, dice = (numbers.Display(METRICS[name]) for name in ("aop_error_deg", "hc_error_mm", "dice"))
    assert [one.with_unit("+1.20") for one in (angle, error, dice)] == ["+1.20°", "+1.20 mm", "+1.20 points"]
    assert (angle.unit_in_words, error.unit_in_words) == ("degrees", "mm")


def test_a_metric_is_written_in_the_unit_it_is_shown_in():
    dice, error = (numbers.Display(METRICS[name]) for name in ("dice", "hc_error_mm"))
    assert [dice.difference(value) for value in (0.0123, -0.004, -0.00001)] == ["+1.23", "−0.40", "0.00"]
    assert (dice.value(0.9537), dice.value(None), dice.heading, dice.unit_of_differences) == (
        "95.4", "–", "Dice, %", "points"
    )  # fmt: skip
    assert (error.difference(-1.234), error.size(-1.234)) == ("−1.23", "1.23")
    assert (dice.better_side, error.better_side) == ("positive is better", "negative is better")
    assert numbers.span((3, 3)) == "3" and numbers.span((3, 5)) == "3–5" and numbers.span(None) == "–"


def compared(word, mean, cohort="far", arm="four", ratio=4, metric="dice", **spec):
    spec = {"extra": "synthetic", "curated": True, **spec}
    difference = Estimate(mean, None, None, Crossed(mean, 0.005, 10.0), 60, 60, 5)
    one = result(word, mean, metric=metric)
    detectable = None if word == "too few" else 0.019
    one.verdict = Verdict(word, {"too few": "too few replicates to say: 2 of 5"}.get(word, word), None, detectable)
    one.difference, one.spec = difference, Arm(ratio=ratio, **spec)
    one.cohort, one.arm, one.segmenter, one.labels = cohort, arm, "sam", 20
    return one


@pytest.mark.parametrize(
    ("word", "mean", "text"),
    [
        ("helps", 0.031, "helps: Dice +3.10 points, 95 % interval +1.99 to +4.21, n = 60 patients, 5 replicates"),
        ("hurts", -0.031, "hurts: Dice −3.10 points, 95 % interval −4.21 to −1.99, n = 60 patients, 5 replicates"),
        (
            "not shown",
            0.004,
            "no evidence: Dice +0.40 points, 95 % interval −0.71 to +1.51, n = 60 patients, 5 replicates; "
            "smallest detectable difference 1.90 points",
        ),
        ("too few", 0.004, "too few replicates to say: 2 of 5 (Dice +0.40 points, n = 60 patients, 5 replicates)"),
    ],
)
def test_a_claim_says_how_much_how_sure_and_on_whom(word, mean, text):
    assert answers.claim(compared(word, mean)) == text


def test_of_a_metric_where_lower_is_better_the_smaller_mean_is_the_better_one():
    grid = [
        compared("not shown", 0.8, arm="one", ratio=1, metric="hc_error_mm"),
        compared("not shown", -0.5, metric="hc_error_mm"),
    ]
    ((*_, sentence),) = answers.advice(grid, "real")
    assert sentence.endswith("the best mean is that of “four”, −0.50 mm on far")
    assert answers.claim(compared("helps", -0.5, metric="hc_error_mm")).startswith(
        "helps: Circumference error −0.50 mm,"
    )
    assert "Circumference error changed by −0.50 to +0.80 mm" in answers.answer(grid, "real")[1]
    worse = result("too few", mean=0.9, shuffled=True, patients=Interval(0.4, 1.2, 9), metric="hc_error_mm")
    ((fine, text),) = answers.controls([worse])
    assert fine and "changed by +0.90 mm" in text


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
        sentence == "stay with “real”: no ratio is shown to help; the best mean is that of “four”, +1.00 points on far"
    )
    ((*_, sentence),) = answers.advice([compared("too few", 0.01)], "real")
    assert sentence.startswith("too few replicates to say: 2 of 5; the best mean")
    unasked = compared("helps", 0.1)
    unasked.asked = False
    assert answers.advice([unasked], "real") == []


def test_advice_says_what_an_arm_is_worth_in_labels():
    grid = [compared("helps", 0.02), compared("helps", 0.03, "near")]
    worths = [Worth(grid[0], 31.2, 25.0, 44.0, (5, 50))]
    ((*_, sentence),) = answers.advice(grid, "real", worths)
    assert sentence.endswith("+2.00 points on far, worth 31 labels (25 to 44), +3.00 points on near")
    unsure = [compared("not shown", 0.02)]
    assert "worth" not in answers.advice(unsure, "real", worths)[0][-1]
    dipped = [replace(worths[0], value=15.0, low=0.0)]
    assert "worth" not in answers.advice(grid, "real", dipped)[0][-1], "no more than its own labels"
