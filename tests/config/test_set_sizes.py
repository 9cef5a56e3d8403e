"""Cohorts as small as later stages can bear, and smaller."""

import pytest

from pipeline.config.set_sizes import shortages


@pytest.mark.parametrize(
    ("cohort", "counts", "words"),
    [
        (
            "phantom_a",
            {"train": 30, "val": 4, "test": 4},
            ["grid.labels asks for 40", "train split of 'phantom_a' has 30"],
        ),
        ("phantom_a", {"train": 9, "val": 4, "test": 4}, ["has 9 images in its train split", "need 10", "splits"]),
        (
            "phantom_a",
            {"train": 40, "test": 7},
            ["has 7 images in its splits val and test", "need 8", "lower score.nei"],
        ),
        ("phantom_d", {"test": 7}, ["'phantom_d' has 7 images in all", "need 8", "name another under grid.foreign"]),
        ("phantom_a", {"train": 40, "val": 4, "test": 4, "evaluation": 1}, []),
        ("phantom_b", {"test": 1}, []),
        ("phantom_d", {"test": 8}, []),
    ],
)
def test_cohorts_too_small_for_later_stages_are_refused(edited, cohort, counts, words):
    found = "; ".join(shortages(edited(lambda p: p["grid"].update(labels=[40])), cohort, counts))
    assert bool(found) == bool(words)
    for word in words:
        assert word in found
