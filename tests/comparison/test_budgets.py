"""How many labels an arm has seen in all: by its segmenter, its generator, and whatever chose weights."""

from dataclasses import replace

import pytest

from pipeline.comparison.budgets import load_budgets
from pipeline.comparison.statistics.comparison import compare_arms
from pipeline.config.arms import Arm
from pipeline.quality.selection.curation import CRITERIA
from pipeline.run.errors import InputError
from pipeline.run.files import write_json
from tests.comparison.cells import grid
from tests.comparison.world import ARMS, training_facts


def by_arm(world):
    """Of the first segmenter: (labels, arm) → budget."""
    return {(one.labels, one.arm): one for one in world.budgets() if one.segmenter == "sam"}


def test_the_generator_and_the_segmenter_share_their_labels(world):
    found = by_arm(world)
    assert [one.range("labels") for one in found.values()] == [(4, 4)] * 4
    real, synthetic, shuffled = (found[4, arm] for arm in ("real", "synthetic", "shuffled"))
    ranges = [[one.range(key) for one in (real, synthetic)] for key in ("unlabelled", "extra", "parameters")]
    assert ranges == [[(0, 0), (3, 3)], [(0, 0), (8, 8)], [(9000, 9000)] * 2]
    assert [one.range("samples", "available") for one in (real, synthetic, shuffled)] == [None, (5, 5), (16, 16)]
    assert [one.range("samples", "curated", "of") for one in (real, synthetic, shuffled)] == [None, (16, 16), None]
    assert synthetic.criteria == [CRITERIA[0], CRITERIA[2]]
    assert [synthetic.range("samples", "curated", "dropped", name) for name in synthetic.criteria] == [(9, 9), (4, 4)]


def test_ranges_are_over_replicates_and_labels_that_chose_weights_count(tmp_path):
    cells, arms = grid(labels=(4,), replicates=(0, 1), arms=("synthetic",)), {"synthetic": Arm(**ARMS["synthetic"])}
    for replicate in cells.replicates:
        facts = training_facts(ARMS["synthetic"], 4, 4, chosen_on=3 * replicate)
        write_json(tmp_path / f"sam-4-{replicate}-synthetic.json", facts | {"parameters": 9, "trainable_parameters": 5})
    (found,) = load_budgets(cells, arms, tmp_path)
    assert found.range("labels") == (4, 7) and found.exceeded
    write_json(tmp_path / "sam-4-1-synthetic.json", {"labels": 4, "parameters": 9, "trainable_parameters": 5})
    with pytest.raises(InputError, match=r"sam-4-1-synthetic.json: key 'unlabelled' is missing; run `dvc repro`"):
        load_budgets(cells, arms, tmp_path)


def test_a_generous_arm_says_how_many_labels_it_has_seen(large):
    found = by_arm(large)
    seen = [found[key].range("labels") for key in ((4, "synthetic"), (4, "synthetic_1"), (6, "synthetic_1"))]
    assert seen == [(4, 4), (6, 6), (6, 6)]
    assert [found[n, "synthetic_1"].exceeded for n in (4, 6)] == [True, False]


def test_arms_that_saw_more_labels_stand_for_no_number_of_them(large):
    scores, budgets = large.scores(), large.budgets()
    fair = compare_arms(scores, large.params(), budgets)
    over = compare_arms(scores, large.params(), [replace(one, records=({"labels": 9},)) for one in budgets])
    assert {one.result.arm for one in fair.worths} == {"synthetic"} and over.worths == []
