"""Stage evaluate: one row per cell, cohort, case, region and metric."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipeline import evaluate
from pipeline.config.cohorts import held_out_names
from pipeline.config.params import View
from pipeline.config.task import Task
from pipeline.data.predictions import write_predictions
from pipeline.data.structures import Structure
from pipeline.data.tables import read_table
from pipeline.data.writer import write_dataset
from pipeline.run.errors import InputError
from pipeline.run.stage import execute
from pipeline.tasks.metrics import METRICS, PAIR

PSFHS = (Structure("pubic_symphysis", "symphysis"), Structure("fetal_head", "head"))


@pytest.fixture
def stage(tmp_path, monkeypatch, smoke_config, ring):
    """The stage on three cohorts of two cases each; of the second case of each there is no prediction."""
    monkeypatch.chdir(tmp_path)
    roles = {item.name: item.role for item in PSFHS}
    task = Task(structures=roles, unions={"all": tuple(roles)}, primary="dice")
    config = smoke_config.model_copy(update={"task": task})

    def run(structures=PSFHS, config=config):
        Path("held_out").mkdir()
        for name in ("phantom_a", *held_out_names(config.cohorts)):
            cases = []
            for i in (10, 9):
                case = ring(i, split="test", pixel_mm=0.1, hc_mm=10.0)
                mask = 2 * case.mask
                mask[:4, :6] = i == 9
                cases.append(replace(case, mask=mask))
            folder = Path("test" if name == "phantom_a" else "held_out") / name
            write_dataset(folder, cases, role="held_out", structures=structures)
            write_predictions(Path("predictions/sam-8-0-real") / f"{name}.parquet", ["case-010"], [cases[0].mask])
        paths = {"predictions": "predictions/sam-8-0-real", "test": "test/phantom_a", "held_out": "held_out"}
        arguments = {key: Path(value) for key, value in {**paths, "out": "evaluation/sam-8-0-real.csv"}.items()}
        execute(evaluate.run, View(config, evaluate.PARAMS), arguments)
        return read_table(Path("evaluation/sam-8-0-real.csv"))

    return run


def test_rows_are_long_and_in_order(stage):
    rows = stage()
    assert list(rows[0]) == ["cell", "cohort", "case", "region", "metric", "value", "unit"]
    assert {row["cell"] for row in rows} == {"sam-8-0-real"}
    keys = [(row["cohort"], row["case"], row["region"]) for row in rows]
    assert list(dict.fromkeys(keys)) == [
        (cohort, case, region)
        for cohort in ("phantom_a", "phantom_b", "phantom_c")
        for case in ("case-010", "case-009")
        for region in ("pubic_symphysis", "fetal_head", "all", PAIR)
    ]
    own = ("hd_px", "asd_official_px")
    listed = {
        region: [row["metric"] for row, key in zip(rows, keys, strict=True) if key == ("phantom_b", "case-009", region)]
        for region in ("fetal_head", PAIR)
    }
    assert listed["fetal_head"] == [name for name, one in METRICS.items() if not one.paired or name in own]
    assert listed[PAIR] == [name for name, one in METRICS.items() if one.paired and name not in own]
    values = {(row["case"], row["region"], row["metric"]): float(row["value"]) for row in rows}
    assert values["case-010", "fetal_head", "dice"] == values["case-010", "pubic_symphysis", "dice"] == 1
    assert values["case-009", "all", "dice"] == 0 and values["case-009", "pubic_symphysis", "missing"] == 1
    assert values["case-009", "fetal_head", "hc_published_error_mm"] == 10
    # Without a prediction the angle has its worst error, and no error among those measured.
    assert values["case-009", PAIR, "aop_failed"] == 1 and values["case-009", PAIR, "aop_error_deg"] == 180
    assert np.isnan(values["case-009", PAIR, "aop_error_valid_deg"])
    # The reference of the other case has no symphysis, so there is no angle to compare with.
    assert ("case-010", PAIR, "aop_error_deg") not in values and ("case-010", PAIR, "challenge_score") in values


def test_without_a_held_out_cohort_the_test_split_alone_is_scored(stage, smoke_config):
    about = Task(structures={one.name: one.role for one in PSFHS}, unions={}, primary="dice")
    own = {name: one for name, one in smoke_config.cohorts.items() if one.role != "held_out"}
    rows = stage(config=smoke_config.model_copy(update={"task": about, "cohorts": own}))
    assert {row["cohort"] for row in rows} == {"phantom_a"}
    assert {row["case"] for row in rows} == {"case-010", "case-009"}


def test_a_cohort_of_other_structures_is_refused(stage):
    with pytest.raises(InputError, match=r"phantom_a: its structures are one, two, .*fetal_head \(role head\)"):
        stage((Structure("one"), Structure("two")))
