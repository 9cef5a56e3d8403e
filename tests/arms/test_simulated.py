"""Arms of simulated cases: functions of their number alone, with exact masks, and nobody from the stage `phantom`."""

from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from pipeline import assemble_simulated
from pipeline.arms.simulated import simulated_cases, simulated_cohorts
from pipeline.config.arms import Arm
from pipeline.config.params import View
from pipeline.data.case import pixel_hash
from pipeline.data.dataset import read_dataset
from pipeline.data.structures import Structure
from pipeline.data.writer import write_dataset
from pipeline.run.stage import execute
from pipeline.simulation import simulate_case

COHORTS = simulated_cohorts("head")


def drawn(count, total=None, replicate=0, seed=0):
    return list(islice(simulated_cases("head", total or count, seed, replicate, COHORTS), count))


def test_cases_are_of_the_labelled_devices_in_turn():
    assert COHORTS == ("phantom_a", "phantom_b", "phantom_c")
    found = drawn(4)
    assert [case.cohort for case in found] == ["phantom_a", "phantom_b", "phantom_c", "phantom_a"]
    assert [case.id for case in found] == [f"simulated-00000{i}" for i in range(4)]
    assert {(case.mask_source, case.split) for case in found} == {("simulated", "train")}
    assert all(case.mask.any() and case.pixel_mm and case.hc_mm for case in found)


def test_a_case_is_a_function_of_its_number_and_replicate():
    first, again, other = drawn(2), drawn(2, total=9), drawn(2, replicate=1)
    assert [pixel_hash(case.image) for case in first] == [pixel_hash(case.image) for case in again]
    assert not {pixel_hash(case.image) for case in first} & {pixel_hash(case.image) for case in other}
    # The stage `phantom` with the same seed simulates others.
    assert pixel_hash(first[0].image) != pixel_hash(simulate_case("phantom_a", 0, 0).image)


def test_the_stage_adds_as_many_as_the_ratio_asks(tmp_path, ring, smoke_config, monkeypatch):
    monkeypatch.chdir(tmp_path)
    heads = (Structure("head", "head"),)
    write_dataset(tmp_path / "hc", [ring(i) for i in range(4)], role="train", structures=heads)
    config = smoke_config.model_copy(update={"arms": {"simulated": Arm(extra="simulated", ratio=1.5)}})
    arguments = {"train": Path("hc"), "labels": 2, "replicate": 0, "arm": "simulated", "out": Path("out")}
    execute(assemble_simulated.run, View(config, assemble_simulated.PARAMS), arguments)
    made = read_dataset(tmp_path / "out")
    assert made.role == "extra" and len(made.cases) == 3 and len(made.labels) == 2
    np.testing.assert_array_equal(made.cases[0].mask, drawn(1)[0].mask)
    assert made.provenance == {"extra": "simulated", "view": "head", "cohorts": list(COHORTS)}


@pytest.mark.parametrize("view", ["intrapartum", "cervix"])
def test_other_views_have_labelled_devices_too(view):
    (case,) = simulated_cases(view, 1, 0, 0, simulated_cohorts(view))
    assert set(np.unique(case.mask)) == {0, 1, 2}
