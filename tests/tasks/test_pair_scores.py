"""Scores of what is measured between symphysis and head, and the comparison of arms by them."""

import math

import numpy as np
import pytest

from pipeline.comparison.scores import load_scores
from pipeline.comparison.statistics.resampling import Patients
from pipeline.comparison.statistics.summary import summarise
from pipeline.comparison.statistics.threshold import threshold_table
from pipeline.data.case import Case
from pipeline.data.structures import Structure
from pipeline.data.tables import write_table
from pipeline.tasks.metrics import METRICS, PAIR
from pipeline.tasks.segmentation.biometry.official import official_aop, official_distances
from pipeline.tasks.segmentation.biometry.progression import measure_progression
from pipeline.tasks.segmentation.pair_scores import score_pair
from pipeline.tasks.segmentation.scores import pair_of, regions_of, score_case
from tests.comparison.cells import ARMS, grid, task
from tests.tasks.scenes import Oval, Scene

PSFHS = (Structure("pubic_symphysis", "symphysis"), Structure("fetal_head", "head"))
UNIONS = {"both": ["pubic_symphysis", "fetal_head"]}
DIAGONAL = math.hypot(256, 256)


def drawn(shift=0):
    """The head moved to the right by ``shift``."""
    return Scene(Oval((90, 60), 30, 14, 0.0), Oval((130 + shift, 150), 60, 52, 0.4)).class_map()


def scored(prediction, reference, pixel_mm=None):
    return score_pair(prediction, reference, 1, 2, pixel_mm)


def test_equal_masks():
    angle = measure_progression(drawn() == 1, drawn() == 2).aop_deg
    best = {"challenge_score": 1, "aop_deg": angle, "aop_reference_deg": angle}
    assert scored(drawn(), drawn(), 0.2) == {
        name: best.get(name, 0)
        for name, one in METRICS.items()
        if one.paired and name not in ("hd_px", "asd_official_px")
    }


def test_a_moved_head():
    found, true = drawn(12), drawn()
    one, other = (measure_progression(mask == 1, mask == 2) for mask in (found, true))
    scores = scored(found, true, 0.2)
    assert scores["aop_error_deg"] == scores["aop_error_valid_deg"] == abs(one.aop_deg - other.aop_deg) > 4
    # Signed differences are had from both angles.
    assert scores["aop_deg"] - scores["aop_reference_deg"] == one.aop_deg - other.aop_deg > 0
    assert scores["hsd_error_px"] == scores["hsd_error_valid_px"] == abs(one.hsd_px - other.hsd_px)
    assert scores["hsd_error_mm"] == 0.2 * scores["hsd_error_px"]
    error = abs(official_aop(found == 1, found == 2) - official_aop(true == 1, true == 2))
    distances = np.mean([official_distances(np.isin(found, k), np.isin(true, k)) for k in (1, 2, (1, 2))], axis=0)
    assert scores["aop_official_error_deg"] == error
    composite = distances @ (0.25, -0.00125, -0.00125) + 0.25 + 0.5 * (1 - error / 180)
    assert scores["challenge_score"] == pytest.approx(composite)


@pytest.mark.parametrize("lost", [(1,), (2,), (1, 2)])
def test_a_prediction_that_cannot_be_measured_has_the_worst_error(lost):
    true = drawn()
    scores = scored(np.where(np.isin(true, lost), 0, true), true, 0.2)
    assert scores["aop_error_deg"] == METRICS["aop_error_deg"].worst == 180
    assert (scores["hsd_error_px"], scores["hsd_error_mm"]) == pytest.approx((DIAGONAL, 0.2 * DIAGONAL))
    assert scores["aop_failed"] == 1
    assert all(np.isnan(scores[name]) for name in ("aop_deg", "aop_error_valid_deg", "hsd_error_valid_px"))
    # The challenge calls it an angle of 0.
    assert scores["aop_official_error_deg"] == official_aop(true == 1, true == 2)


def test_a_reference_without_an_angle_has_the_scores_of_the_challenge_alone():
    reference = np.where(drawn() == 1, 0, drawn())
    for prediction in (drawn(), reference):
        assert list(scored(prediction, reference, 0.2)) == ["aop_official_error_deg", "challenge_score"]


def test_every_case_has_the_same_metrics_whatever_was_predicted():
    """Cells are compared row by row."""
    empty = np.zeros_like(drawn())
    found = {tuple(scored(prediction, drawn(), 0.2)) for prediction in (drawn(), drawn(9), empty, drawn() * 0 + 1)}
    assert len(found) == 1
    assert sorted(names := found.pop(), key=list(METRICS).index) == list(names)


def case_of(mask):
    return Case("c", "far", "p", np.zeros_like(mask), mask, mask_source="annotated")


def test_a_large_image_has_the_challenges_scores_of_a_small_one():
    """Distances of native pixels grow with the image; the challenge's are those of 256 pixels."""
    found = []
    for times in (1, 4):
        case = case_of(drawn().repeat(times, axis=0).repeat(times, axis=1))
        rows = score_case(np.zeros_like(case.mask), case, regions_of(PSFHS, UNIONS), pair_of(PSFHS))
        found.append({(row["region"], row["metric"]): row["value"] for row in rows})
    small, large = found
    for key in ((PAIR, "challenge_score"), (PAIR, "aop_official_error_deg"), ("fetal_head", "asd_official_px")):
        assert large[key] == small[key]
    assert small["fetal_head", "asd_official_px"] == 100
    assert large["fetal_head", "hd_px"] == 4 * small["fetal_head", "hd_px"]


@pytest.mark.parametrize(("times", "expected"), [(1, 3), (2, 6)])
def test_the_hausdorff_distance_of_a_region_is_computed_once_a_size(times, expected, monkeypatch):
    calls = []
    for module in ("scores", "biometry.official"):
        name = f"pipeline.tasks.segmentation.{module}.hausdorff_distance"
        monkeypatch.setattr(name, lambda a, b: calls.append(a.shape) or 1.0)
    large = [one.repeat(times, axis=0).repeat(times, axis=1) for one in (drawn(3), drawn())]
    score_case(large[0], case_of(large[1]), regions_of(PSFHS, UNIONS), pair_of(PSFHS))
    assert len(calls) == expected


@pytest.fixture
def compared(tmp_path):
    """Two arms on four patients: ``real`` errs by a shift of 10 and misses one symphysis, ``synthetic`` by one of 4."""
    people = [
        Case(f"c{i}", "far", f"p{i}", np.zeros((256, 256), np.uint8), drawn(6 * i), mask_source="annotated")
        for i in range(4)
    ]
    for arm, shift in (("real", 10), ("synthetic", 4)):
        rows = []
        for i, case in enumerate(people):
            prediction = drawn(6 * i + shift)
            if arm == "real" and i == 2:
                prediction[prediction == 1] = 0
            found = score_case(prediction, case, regions_of(PSFHS, UNIONS), pair_of(PSFHS))
            rows += [{"cell": "", "cohort": "far"} | row for row in found]
        write_table(tmp_path / f"sam-10-0-{arm}.csv", rows)

    def load(primary):
        roles = {one.name: one.role for one in PSFHS}
        about = task(tuple(roles), UNIONS, primary, roles)
        return load_scores(tmp_path, grid(), {"far": people}, about)

    return load


@pytest.mark.parametrize(
    "primary", ["aop_error_deg", "aop_official_error_deg", "hsd_error_px", "challenge_score", "dice"]
)
def test_arms_are_compared_by_any_metric(compared, primary):
    scores = compared(primary)
    patients = {"far": Patients([one.patient for one in scores["far", "sam", 10, "real"].cases], 50, 0, "far")}
    real, synthetic = summarise(scores, ARMS, "real", ["far"], patients)
    assert (real.score.n_cases, synthetic.score.n_cases) == (4, 4)
    assert synthetic.gain > 0
    # Failures are counted, in the mean with the worst error and beside it without.
    assert (real.counts["aop_failed"], synthetic.counts["aop_failed"]) == (1, 0)
    mean, known = real.regions[PAIR]["aop_error_valid_deg"]
    assert known == 3 and mean < real.regions[PAIR]["aop_error_deg"][0] - 40
    assert real.regions[PAIR].keys().isdisjoint({"dice", "hd_px"}) and "hd_px" in real.regions["both"]
    assert np.isfinite(real.replicate_means["aop_error_valid_deg"]).all()


def test_the_table_at_120_degrees_comes_from_the_scores(compared):
    one = compared("dice")["far", "sam", 10, "real"]
    table = threshold_table(one.values[PAIR, "aop_deg"], one.values[PAIR, "aop_reference_deg"])
    assert (table.n, table.n_valid, table.failed_positive) == (4, 3, 1)
    assert table.true_positive == 3 and table.sensitivity == 0.75 and table.valid_sensitivity == 1
