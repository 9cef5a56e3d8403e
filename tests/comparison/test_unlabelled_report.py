"""The part of the report on arms with unlabelled images: shown where there are any, with every pair and its costs."""

import re

import pytest

from pipeline.comparison.budgets import Budget, differ_in_passes
from pipeline.comparison.report.answers import controls
from pipeline.comparison.report.series import SIGNS, arm_in_words, series
from pipeline.comparison.report.standing import notes
from pipeline.comparison.statistics.comparison import compare_arms
from pipeline.config.arms import Arm
from pipeline.data.tables import read_table
from tests.browser_fixture import browser, complaints  # noqa: F401
from tests.comparison.world import World, training_facts
from tests.self_contained import Loads, text_of

DUAL = {"method": "cross_pseudo", "networks": ["sam", "unet"]}
SYNTHETIC = {"extra": "synthetic", "ratio": 4, "curated": True}
ARMS = {
    "real": {"extra": "none"},
    "pseudo": {"extra": "none", "unlabelled": "pseudo"},
    "unimatch": {"extra": "none", "unlabelled": {"method": "unimatch", "confidence": 0.9}},
    "dual": {"extra": "none", "unlabelled": {**DUAL, "contrast": None}},
    "synthetic": SYNTHETIC,
    "both": {**SYNTHETIC, "unlabelled": DUAL},
    "warped": {"extra": "warped", "ratio": 4},
}
GAIN = {"pseudo": 0.01, "unimatch": 0.02, "dual": 0.04, "synthetic": 0.015, "both": 0.05, "warped": 0.005}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Five replicates of two segmenters, one held-out cohort."""
    root = tmp_path_factory.mktemp("unlabelled")
    world = World(
        root, replicates=range(5), arms=ARMS, gain=GAIN, segmenters=["sam", "unet"], vanished={"unimatch": 1}
    ).build()
    return world, world.run()


def test_it_says_what_is_compared_and_with_which_network(made):
    text = text_of(made[1])
    assert "What are unlabelled images worth?" in text and 'href="#unlabelled"' in made[1]
    assert "Two networks are trained in the arms dual, both; predictions are those of the cell's own network" in text
    assert "of one cohort, model, and number of labels are corrected (Holm) in two families" in text
    assert "arms against real (5 here), and all other pairs (10)" in text
    # Both cohorts, both models; a control is in the other tables alone.
    sections = re.search(r'<section id="unlabelled">.*?</section>', made[1], re.DOTALL)[0]
    assert sections.count("<details") == 4 and "warped" not in sections
    parser = Loads()
    parser.feed(made[1])
    assert parser.fetched == [] and parser.mute == []


def test_a_row_has_its_costs_and_a_note_where_a_structure_was_vanishing(made):
    text = text_of(re.search(r'<section id="unlabelled">.*?</section>', made[1], re.DOTALL)[0])
    number = r"[−+.\d]+ [−+.\d]+ to [−+.\d]+"
    assert re.search(rf"real labelled images only {number} – – 4 0 20 160 ", text)
    words = "labelled and unlabelled images, cross pseudo-supervision \\(sam, unet\\), without contrast"
    assert re.search(rf"dual {words} {number} {number} better &lt;.001 4 3 20 640 ", text)
    words = "labelled and unlabelled images, UniMatch, confidence 0.9 vanishing: head, in 5 of 5 replicates"
    assert re.search(rf"unimatch {words} {number} {number} [a-z ]+ [.\d]+ 4 3 20 480 \+ 320 without gradient", text)
    assert "both synthetic ×4, curated, cross pseudo-supervision (sam, unet)" in text


def test_page_and_statistics_say_the_same_of_a_pair(made):
    world, html = made
    comparison = compare_arms(world.scores(), world.params(), world.budgets())
    group = comparison.rivals[0]
    pair = group.between("synthetic", "dual")
    text = text_of(html)
    assert f"{100 * pair.difference.mean:+.2f}".replace("-", "−") in text
    assert [one.arm for one in group.results] == [arm for arm in ARMS if arm != "warped"]
    assert "sam, 4 labels. The best mean is that of “both”" in text


def test_the_question_about_synthetic_data_is_not_asked_of_both_at_once(made):
    world, html = made
    comparison = compare_arms(world.scores(), world.params(), world.budgets())
    assert {one.arm for one in comparison.results if one.asked} == {"synthetic"}
    ((_, sentence),) = controls(comparison.results)
    assert sentence.index("warped") < sentence.index("unlabelled images by pseudo-labels, Dice changed by")
    assert "unlabelled images by cross pseudo-supervision" in sentence
    assert "Images through a network" in text_of(html)[text_of(html).index("Label budget How many") :]


def test_the_table_for_plots_says_how_unlabelled_images_are_used(made):
    rows = read_table(made[0].root / "out/table.csv")
    used = {row["arm"]: row["unlabelled"] for row in rows}
    assert used["real"] == used["synthetic"] == "none" and used["both"] == used["dual"] == "cross_pseudo"


def test_without_such_arms_there_is_no_such_part(html):
    assert 'id="unlabelled"' not in html and "Images through a network" not in html and "Vanishing" not in html


def test_forward_passes_and_vanishing_structures_are_counted():
    def budget(arm, *vanished):
        facts = tuple(training_facts(ARMS[arm], 4, 4, vanished=one) for one in vanished)
        return Budget("sam", 4, arm, Arm(**ARMS[arm]), facts)

    real, teacher = budget("real", 0, 0), budget("unimatch", 0, 2)
    assert real.passes == (160, 0) and teacher.passes == (480, 320)
    assert differ_in_passes([real, teacher]) and not differ_in_passes([real, budget("synthetic", 0)])
    assert real.vanishing == {} and teacher.vanishing == {"head": 1}
    assert notes(real) == [] and notes(teacher) == ["vanishing: head, in 1 of 2 replicates"]


WORDS = {
    "labelled and unlabelled images, pseudo-labels": {"extra": "none", "unlabelled": "pseudo"},
    "labelled and unlabelled images, mean teacher": {"extra": "none", "unlabelled": "mean_teacher"},
    "labelled and unlabelled images, UniMatch, weight 0.5, cutmix 0": {
        "extra": "none",
        "unlabelled": {"method": "unimatch", "weight": 0.5, "cutmix": 0.0},
    },
    "labelled and unlabelled images, cross pseudo-supervision (sam, unet)": {"extra": "none", "unlabelled": DUAL},
    "synthetic ×4, curated, cross pseudo-supervision (sam, unet), contrast weight 0.2": {
        **SYNTHETIC,
        "unlabelled": {**DUAL, "contrast": {"weight": 0.2}},
    },
    "labelled and unlabelled images, cross pseudo-supervision (sam, unet), weight 0.1, targets soft": {
        "extra": "none",
        "unlabelled": {**DUAL, "targets": "soft", "weight": 0.1},
    },
}


def test_arms_with_unlabelled_images_in_words():
    assert {arm_in_words(Arm(**spec)): spec for spec in WORDS.values()} == WORDS


def test_every_use_of_unlabelled_images_has_a_series_of_its_own():
    uses = ["none", "pseudo", "mean_teacher", "unimatch", DUAL]
    extras = [{"extra": "none"}, SYNTHETIC, {"extra": "warped", "ratio": 4}, {"extra": "copy_paste", "ratio": 4}]
    found = [series(Arm(**extra, unlabelled=use)) for extra in extras for use in uses]
    assert len({name for name, *_ in found}) == len({(colour, marker) for _, colour, marker in found}) == len(found)
    assert all(marker in SIGNS for *_, marker in found)
    shuffled = Arm(**SYNTHETIC, shuffled=True, unlabelled=DUAL)
    assert series(shuffled)[0] == "control: shuffled masks"


def test_it_shows_in_a_browser(browser, made):  # noqa: F811
    from selenium.webdriver.common.by import By

    from tests.comparison.test_report_in_browser import CONTRAST

    browser.set_window_size(1280, 900)
    browser.get((made[0].root / "out/report.html").as_uri())
    tables = browser.find_elements(By.CSS_SELECTOR, "#unlabelled .scroll > table:not(.pairs)")
    wide = "return arguments[0].scrollWidth > arguments[0].parentNode.clientWidth"
    assert len(tables) == 4 and not any(browser.execute_script(wide, table) for table in tables)
    shown = [one.is_displayed() for one in browser.find_elements(By.CSS_SELECTOR, "#unlabelled table.pairs")]
    assert shown == [True, False, True, False]
    assert browser.execute_script(CONTRAST.read_text()) == []
    assert browser.execute_script("return document.documentElement.scrollWidth") <= 1280
    assert complaints(browser) == []
