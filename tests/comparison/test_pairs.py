"""Every pair of the arms that differ in what takes the place of labels: which, in which direction, how corrected."""

import numpy as np
import pytest

from pipeline.comparison.statistics.crossed import holm
from pipeline.comparison.statistics.pairs import compare_pairs, rivals_of
from pipeline.comparison.statistics.summary import in_question, patients_of, summarise
from pipeline.config.arms import Arm
from tests.comparison.cells import grid, load, row, task, write_cells

DUAL = {"method": "cross_pseudo", "networks": ("unet", "sam")}
SPECS = {
    "real": Arm(extra="none"),
    "pseudo": Arm(extra="none", unlabelled="pseudo"),
    "dual": Arm(extra="none", unlabelled=DUAL),
    "synthetic": Arm(extra="synthetic", ratio=4, curated=True),
    "both": Arm(extra="synthetic", ratio=4, curated=True, unlabelled=DUAL),
}
GAIN = {"real": 0, "pseudo": 0.0005, "dual": 0.03, "synthetic": 0.01, "both": 0.032}
"""Of Dice; in every case but a little noise."""


@pytest.fixture(scope="module")
def scored(tmp_path_factory):
    """Dice and a distance, of which less is better, of forty cases in five replicates of two segmenters."""
    folder, draws, cells = tmp_path_factory.mktemp("pairs"), np.random.default_rng(0), {}
    level = draws.uniform(0.85, 0.9, 40)
    for segmenter in ("sam", "unet"):
        for replicate in range(5):
            for arm, gain in GAIN.items():
                dice = level + gain + draws.normal(0, 0.002, 40)
                rows = [row(f"c{i}", one, hd95_px=100 * (1 - one)) for i, one in enumerate(dice)]
                cells[f"{segmenter}-10-{replicate}-{arm}"] = rows
    write_cells(folder, cells)
    return folder


def compared(folder, arms=None, primary="dice"):
    arms = list(arms or SPECS)
    cells = grid(replicates=range(5), arms=arms, segmenters=("sam", "unet"))
    scores = load(folder, cells, about=task(primary=primary))
    patients = patients_of(scores, 200, 0)
    results = summarise(scores, {arm: SPECS[arm] for arm in arms}, "real", ["far"], patients)
    return compare_pairs(scores, results, arms, patients)


def test_each_pair_of_each_segmenter_is_compared_once(scored):
    found = compared(scored)
    assert [group.results[0].segmenter for group in found] == ["sam", "unet"]
    for group in found:
        assert [one.arm for one in group.results] == list(SPECS)
        assert len({frozenset((pair.first, pair.second)) for pair in group.pairs}) == len(group.pairs) == 10


def test_a_gain_is_positive_and_better(scored):
    group = compared(scored)[0]
    pair = group.between("dual", "real")
    assert pair.difference.mean == pytest.approx(0.03, abs=0.002)
    assert (pair.verdict.word, pair.verdict.text) == ("helps", "better")
    assert group.between("synthetic", "dual").verdict.text == "worse"
    assert group.between("pseudo", "real").verdict.word == "not shown"
    assert group.best.arm == "both"


def test_of_a_distance_less_is_better(scored):
    group = compared(scored, primary="hd95_px")[0]
    assert group.between("dual", "real").difference.mean == pytest.approx(-3, abs=0.2)
    assert group.between("dual", "real").verdict.text == "better"
    assert group.best.arm == "both"


def test_a_pair_reads_the_same_from_either_side(scored):
    forward, backward = compared(scored)[0], compared(scored, ["both", "synthetic", "dual", "pseudo", "real"])[0]
    for first in SPECS:
        for second in SPECS:
            if first == second:
                continue
            one, other, again = forward.between(first, second), forward.between(second, first), backward
            assert one.difference.mean == -other.difference.mean and one == other.mirrored
            assert one.difference.both.low == pytest.approx(-other.difference.both.high)
            assert one.verdict.p_value == other.verdict.p_value
            assert again.between(first, second).difference.mean == pytest.approx(one.difference.mean)
            assert again.between(first, second).difference.patients.low == pytest.approx(one.difference.patients.low)
            if "real" not in (first, second) and "both" not in (first, second):
                assert again.between(first, second).verdict.text == one.verdict.text, "with either baseline"
    with pytest.raises(KeyError):
        forward.between("real", "real")


def test_p_values_are_corrected_in_two_families(scored):
    """Arms against the baseline, and all other pairs: how many rivals there are costs the question nothing."""
    group = compared(scored)[0]
    families = [[pair for pair in group.pairs if ("real" in (pair.first, pair.second)) == asked] for asked in (1, 0)]
    assert group.family_sizes == tuple(map(len, families)) == (4, 6)
    for family in families:
        raw = [pair.difference.crossed.p_value for pair in family]
        assert [pair.verdict.p_value for pair in family] == pytest.approx(holm(raw))
    every = holm([pair.difference.crossed.p_value for pair in group.pairs])
    assert [pair.verdict.p_value for pair in group.pairs] != pytest.approx(every)
    fewer = compared(scored, ["real", "pseudo"])[0]
    (alone,) = fewer.pairs
    assert alone.verdict.p_value == pytest.approx(alone.difference.crossed.p_value)
    assert alone.verdict.p_value <= group.between("pseudo", "real").verdict.p_value


@pytest.mark.parametrize(
    ("spec", "among"),
    [
        ({"extra": "none", "unlabelled": "unimatch"}, True),
        ({"extra": "synthetic", "ratio": 16}, True),
        ({"extra": "synthetic", "ratio": 4, "curated": True, "unlabelled": "mean_teacher"}, True),
        ({"extra": "warped", "ratio": 4}, False),
        ({"extra": "warped", "ratio": 4, "unlabelled": "pseudo"}, False),
        ({"extra": "synthetic", "ratio": 4, "shuffled": True}, False),
        ({"extra": "synthetic", "ratio": 4, "curated": True, "generous": True}, False),
        ({"extra": "synthetic", "ratio": 4, "pretrain": 0.5}, False),
        ({"extra": "none", "augment": "strong", "unlabelled": "pseudo"}, False),
    ],
)
def test_only_arms_that_differ_in_what_takes_the_place_of_labels_are_among_them(spec, among):
    arms = {"other": Arm(**spec), "pseudo": SPECS["pseudo"], "real": SPECS["real"]}
    assert rivals_of(arms, "real") == ["real", *["other"] * among, "pseudo"]


def test_without_unlabelled_images_the_question_is_another():
    assert rivals_of({name: SPECS[name] for name in ("real", "synthetic")}, "real") == []
    assert rivals_of({name: SPECS[name] for name in ("dual", "both")}, "dual") == []


def test_the_question_about_synthetic_data_is_asked_at_equal_use_of_unlabelled_images():
    assert not in_question(SPECS["both"], SPECS["real"])
    assert not in_question(SPECS["dual"], SPECS["real"])
    assert in_question(SPECS["both"], SPECS["dual"])
    assert not in_question(SPECS["synthetic"], SPECS["dual"])
