"""The report of symphysis and head without a held-out cohort, from masks to the page."""

import json
import re

import numpy as np
import pytest

from pipeline.comparison.median_angle import median_angles
from pipeline.comparison.statistics.comparison import compare_arms
from pipeline.data.dataset import read_dataset
from pipeline.tasks.metrics import PAIR
from pipeline.tasks.segmentation.pair import pair_of
from tests.comparison.pair_world import FAILS
from tests.comparison.world import ARMS, World
from tests.self_contained import Loads, text_of


@pytest.fixture(scope="module")
def world(pair):
    return pair


@pytest.fixture(scope="module")
def html(pair_html):
    return pair_html


@pytest.fixture(scope="module")
def text(html):
    return text_of(html)


@pytest.fixture(scope="module")
def compared(world, html):
    return compare_arms(world.scores(), world.params(), world.budgets())


def test_the_page_says_that_one_cohort_was_asked(text):
    assert "Held out: the test split of phantom_a (patients the training never saw); no other cohort is held" in text
    assert "Over 1 comparison on the test split of phantom_a" in text and "One cohort only." in text
    assert "held-out comparison" not in text and "Held-out cohort" not in text
    assert "On the test split of phantom_a these are corrected among themselves (1 here)" in text


def test_of_blocks_the_page_says_blocks(tmp_path):
    world = World(tmp_path, held_out=None, arms={"real": ARMS["real"]}).build()
    params = (tmp_path / "params.yaml").read_text()
    (tmp_path / "params.yaml").write_text(params.replace("    splits:\n", "    splits:\n      by: blocks\n"))
    page = text_of(world.run())
    assert "the test split of phantom_a (blocks of images the training never saw)" in page
    assert "Not asked in this run" in page and "angle" not in page.split("Masks sampled")[0]


def test_the_question_is_corrected_on_the_test_split(compared):
    assert compared.family_sizes == [1, 0]
    assert {one.cohort for one in compared.results} == {"phantom_a"}


def test_the_primary_is_worded_as_what_it_is(text):
    assert "The primary metric is AoP error in degrees; lower is better. A case has one value, measured between" in text
    assert "mean over structures" not in text


def test_the_part_is_there_for_a_symphysis_and_a_head_alone(html, tmp_path):
    assert '<section id="progression">' in html and 'href="#progression"' in html
    heads = World(tmp_path, arms={"real": ARMS["real"]}).build().run()
    assert not any(f'{name}"' in heads for name in ("progression", 'id="ex-angle'))
    assert "AoP" not in text_of(heads)


def test_every_structure_and_the_union_has_its_scores(text, compared):
    real = compared.results[0]
    regions = ("pubic_symphysis", "fetal_head", "both")
    numbers = [
        f"{factor * real.regions[region][name][0]:.{digits}f}"
        for name, factor, digits in (("dice", 100, 1), ("hd95_px", 1, 2), ("asd_official_px", 1, 2))
        for region in regions
    ]
    assert "Dice, % HD95, px ASD (PSFHS 2023), px" in text
    assert f"4 real {' '.join(numbers)} 4 synthetic" in text


def test_errors_stand_over_all_and_over_measured_cases(text, compared, world):
    real, synthetic = compared.angles
    assert (real.agreement.n, real.agreement.total) == (11, 12), f"case {FAILS} has no symphysis in replicate 0"
    values = world.scores()["phantom_a", "sam", 4, "real"].values
    error, measured = (values[PAIR, name] for name in ("aop_error_deg", "aop_error_valid_deg"))
    assert (error == 180).sum() == 1
    assert real.errors["aop_error_deg"].value == pytest.approx(error.mean())
    assert real.errors["aop_error_valid_deg"].value == pytest.approx(np.nanmean(measured))
    assert f"{error.mean():.1f}" in text and "11 / 12" in text and "12 / 12" in text
    assert real.agreement.bias == pytest.approx(np.nanmean(values[PAIR, "aop_deg"] - values[PAIR, "aop_reference_deg"]))
    assert real.at_threshold.n == 12 and real.at_threshold.failed_positive + real.at_threshold.failed_negative == 1
    assert synthetic.errors["aop_official_error_deg"].value < real.errors["aop_official_error_deg"].value


def test_the_median_predictor_stands_beside(text):
    assert re.search(r"default [\d.]+° is wrong by [\d.]+° on average \(6 cases, median of 8\); official", text)
    assert re.search(r"median of the training masks, for every case [\d.]+ – – [\d.]+ –", text)


def test_the_median_of_the_cohort_stands_beside_that_of_the_training_masks(text, world):
    """Blocks differ: part of what a training median errs by is where the cohort's angles lie."""
    cohort = read_dataset(world.root / "cohorts/phantom_a")
    pair = pair_of(world.structures)
    one = median_angles(cohort.split("train"), {"a": cohort.split("test")}, pair)["a"]["aop_error_deg"]
    assert one.own_error < one.error
    assert "the error of the cohort's own median, which nobody knows beforehand: " in text
    assert f"default {one.own_angle:.1f}°, wrong by {one.own_error:.1f}°" in text
    assert "median of this cohort's own masks, for every case (not to be had beforehand)" in text


def test_the_table_at_the_threshold_has_counts_and_intervals(text):
    assert "Does the prediction tell whether AoP is 120° or more? Per cent, of cases × replicates, n = 12" in text
    assert re.search(r"4 real [\d.]+ [\d.]+ to [\d.]+, \d+ of \d+ [\d.]+ [\d.]+ to [\d.]+, \d+ of \d+", text)


def test_what_is_measured_between_structures_is_not_said_twice(html):
    other = text_of(re.search(r'<section id="secondary">.*?</section>', html, re.DOTALL)[0])
    assert PAIR not in other and "AoP" not in other and "Hausdorff, px" in other


def test_the_explorer_draws_the_angles(html, world):
    data = json.loads(re.search(r'id="ex-data">(.*?)</script>', html, re.DOTALL)[1].replace("<\\/", "</"))
    cases, (view,) = data["cohorts"]["phantom_a"]["cases"], data["cohorts"]["phantom_a"]["views"]
    real, synthetic = view["arms"]
    values = world.scores()["phantom_a", "sam", 4, "synthetic"].values
    for name, angles, row in (
        ("aop_reference_deg", [one["angle"] for one in cases], 0), ("aop_deg", synthetic["angles"], 0),
    ):  # fmt: skip
        assert [one["text"] for one in angles] == [f"{value:.1f}°" for value in values[PAIR, name][row]]
    assert real["angles"][FAILS] == {"path": "", "text": "not measured: no symphysis"}
    for one in (*(case["angle"] for case in cases), *synthetic["angles"]):
        superior, inferior, end = (np.array(point.split(), int) for point in one["path"][1:].split("L"))
        first, second = superior - inferior, end - inferior
        cosine = first @ second / np.linalg.norm(first) / np.linalg.norm(second)
        assert np.degrees(np.arccos(cosine)) == pytest.approx(float(one["text"][:-1]), abs=1.5)


def test_it_is_self_contained_and_repeats(html, world):
    parser = Loads()
    parser.feed(html)
    assert parser.fetched == [] and parser.mute == []
    assert world.run("again") == html
