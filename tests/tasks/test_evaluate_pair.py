"""Stage evaluate of symphysis and head: masks that cannot be measured, images of many sizes."""

import math
from pathlib import Path

import numpy as np
import pytest

from pipeline import evaluate
from pipeline.config.params import View
from pipeline.config.task import Task
from pipeline.data.case import Case
from pipeline.data.predictions import write_predictions
from pipeline.data.structures import Structure
from pipeline.data.tables import read_table
from pipeline.data.writer import write_dataset
from pipeline.run.stage import execute
from pipeline.tasks.metrics import PAIR
from tests.tasks.bad_masks import FAILURES, GOOD, NOTES

PSFHS = (Structure("pubic_symphysis", "symphysis"), Structure("fetal_head", "head"))
COHORTS = TEST, *_ = "phantom_a", "phantom_b", "phantom_c"
MOVED = np.roll(GOOD, 3, axis=0)
FOUND = {**{name: mask for name, (mask, _) in (FAILURES | NOTES).items()}, "good": GOOD, "moved": MOVED}
"""What is predicted, beside a good reference of the same size."""


def reference(name):
    """Of a cut or halved image the good mask is cut and halved alike."""
    same = {"cut_head": GOOD[:200], "cut_symphysis": GOOD[:, 65:], "small": GOOD[::2, ::2]}
    return same.get(name, GOOD)


def case(name, cohort, mask):
    image = np.random.default_rng(len(name)).integers(0, 255, mask.shape, dtype=np.uint8)
    about = {"split": "test", "mask_source": "annotated", "pixel_mm": 0.2}
    return Case(f"case-{name}", cohort, name, image=image, mask=mask, **about)


@pytest.fixture
def scores(tmp_path, monkeypatch, smoke_config):
    """(cohort, case, region, metric) → value, of masks by cohort and case: predicted and reference."""
    monkeypatch.chdir(tmp_path)
    roles = {item.name: item.role for item in PSFHS}
    task = Task(structures=roles, unions={"all": tuple(roles)}, primary="aop_error_deg")
    config = smoke_config.model_copy(update={"task": task})

    def run(masks):
        for cohort, pairs in masks.items():
            folder = Path("test" if cohort == TEST else "held_out") / cohort
            known = [case(name, cohort, true) for name, (_, true) in pairs.items()]
            write_dataset(folder, known, role="held_out", structures=PSFHS)
            predicted = [found for found, _ in pairs.values()]
            write_predictions(Path(f"predictions/{cohort}.parquet"), [one.id for one in known], predicted)
        paths = {"predictions": "predictions", "test": f"test/{TEST}", "held_out": "held_out", "out": "scores.csv"}
        execute(evaluate.run, View(config, evaluate.PARAMS), {key: Path(value) for key, value in paths.items()})
        keys = ("cohort", "case", "region", "metric")
        return {tuple(row[key] for key in keys): float(row["value"]) for row in read_table(Path("scores.csv"))}

    return run


def everywhere(pairs):
    return dict.fromkeys(COHORTS, pairs)


def test_bad_predictions_are_rows_and_stop_nothing(scores):
    rows = scores(everywhere({name: (mask, reference(name)) for name, mask in FOUND.items()}))
    for name in FOUND:
        key = (TEST, f"case-{name}", PAIR)
        failed, shape = name in FAILURES, reference(name).shape
        assert rows[*key, "aop_failed"] == failed
        assert (rows[*key, "aop_error_deg"] == 180) == failed == np.isnan(rows[*key, "aop_error_valid_deg"])
        assert (rows[*key, "hsd_error_px"] == pytest.approx(math.hypot(*shape))) == failed
        # Whatever can be measured or not, the structures and the challenge's numbers have theirs.
        assert 0 <= rows[*key, "aop_official_error_deg"] <= 180 and np.isfinite(rows[*key, "challenge_score"])
        assert all(np.isfinite(rows[TEST, key[1], region.name, "hd_px"]) for region in PSFHS)
    assert rows[TEST, "case-no_head", "fetal_head", "missing"] == 1
    assert rows[TEST, "case-two_heads", PAIR, "aop_error_deg"] == rows[TEST, "case-good", PAIR, "aop_error_deg"] == 0


def test_references_that_cannot_be_measured_have_no_error(scores):
    bad = {name: (GOOD, mask) for name, (mask, _) in FAILURES.items() if name != "empty"}
    rows = scores(everywhere(bad))
    for name in bad:
        known = {
            metric for cohort, one, region, metric in rows if (cohort, one, region) == (TEST, f"case-{name}", PAIR)
        }
        assert known == {"aop_official_error_deg", "challenge_score"}
