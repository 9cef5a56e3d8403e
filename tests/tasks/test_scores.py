import math
import subprocess
import sys

import numpy as np
import pytest
from scipy import ndimage

from pipeline.data.case import Case
from pipeline.data.structures import Structure
from pipeline.run.errors import InputError
from pipeline.tasks.metrics import METRICS
from pipeline.tasks.segmentation.biometry.circumference import head_circumference_px
from pipeline.tasks.segmentation.scores import Region, pair_of, regions_of, score_case, score_region

OF_ONE = [name for name, metric in METRICS.items() if not metric.paired]
"""Metrics of a region on its own."""


def square(top, left, edge, shape=(40, 50)):
    mask = np.zeros(shape, dtype=bool)
    mask[top : top + edge, left : left + edge] = True
    return mask


def disc(radius, shape=(220, 240)):
    y, x = np.mgrid[: shape[0], : shape[1]]
    return (y - 110) ** 2 + (x - 120) ** 2 <= radius**2


def blob(seed, shape=(70, 90)):
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=shape), 6)
    return noise > np.quantile(noise, 0.7)


def test_equal_masks():
    scores = score_region(disc(60), disc(60), 0.5, is_head=True)
    best = {"dice": 1, "iou": 1, "reference_share": disc(60).mean()}
    assert scores == {name: best.get(name, 0) for name in OF_ONE if name != "hc_published_error_mm"}


def test_shifted_squares():
    """Two squares of edge 10, the second 4 columns to the right: 6 of 10 columns are common."""
    scores = score_region(square(5, 5, 10), square(5, 9, 10), 0.5, is_head=True)
    assert scores["dice"] == pytest.approx(0.6)
    assert scores["iou"] == pytest.approx(60 / 140)
    # Of a square's 36 outline pixels, the 10 of its far side lie 4 columns from the other outline.
    assert scores["hd95_px"] == 4
    # Then 3, 2, 1 along top and bottom; the eight inner pixels of the near side lie inside the other square, nearest to
    # its side 4 columns away or to its top or bottom.
    inside = [min(4, row, 9 - row) for row in range(1, 9)]
    assert scores["assd_px"] == pytest.approx((10 * 4 + 2 * (3 + 2 + 1) + sum(inside)) / 36)
    assert (scores["hd95_mm"], scores["assd_mm"]) == pytest.approx((2, scores["assd_px"] / 2))
    assert scores["hc_error_percent"] == pytest.approx(0, abs=1e-9)


def test_nested_discs():
    scores = score_region(disc(70), disc(80), 0.2, hc_mm=0.2 * 2 * math.pi * 75, is_head=True)
    assert scores["dice"] == pytest.approx(2 * 70**2 / (70**2 + 80**2), rel=0.01)
    assert scores["hd95_px"] == pytest.approx(10, abs=0.8)
    assert scores["assd_px"] == pytest.approx(10, abs=0.8)
    assert scores["hc_error_mm"] == pytest.approx(0.2 * 2 * math.pi * 10, rel=0.02)
    assert scores["hc_error_percent"] == pytest.approx(12.5, rel=0.02)
    # The published circumference lies half way between the two.
    assert scores["hc_published_error_mm"] == pytest.approx(0.2 * 2 * math.pi * 5, rel=0.02)


@pytest.mark.parametrize("seed", range(4))
def test_agrees_with_monai(seed):
    import torch
    from monai.metrics import compute_average_surface_distance, compute_dice, compute_hausdorff_distance, compute_iou

    a, b = blob(seed), blob(seed + 100)
    x, y = (torch.from_numpy(mask)[None, None] for mask in (a, b))
    scores = score_region(a, b, None)
    assert scores["dice"] == pytest.approx(compute_dice(x, y).item(), rel=1e-6)
    assert scores["iou"] == pytest.approx(compute_iou(x, y).item(), rel=1e-6)
    hd95 = compute_hausdorff_distance(x, y, include_background=True, percentile=95)
    assert scores["hd95_px"] == pytest.approx(hd95.item(), rel=1e-6)
    assd = compute_average_surface_distance(x, y, include_background=True, symmetric=True)
    assert scores["assd_px"] == pytest.approx(assd.item(), rel=1e-6)


@pytest.mark.parametrize("change", [np.transpose, np.fliplr, lambda mask: np.pad(mask, ((3, 8), (5, 0)))])
def test_invariant(change):
    a, b = disc(60), ndimage.shift(disc(70).astype(np.uint8), (5, -9), order=0).astype(bool)
    expected, found = (score_region(f(a), f(b), 0.3, is_head=True) for f in (lambda mask: mask, change))
    share = expected.pop("reference_share"), found.pop("reference_share")
    assert found == pytest.approx(expected, rel=1e-9)
    assert share[1] <= share[0]


def test_symmetric_but_for_the_circumference():
    a, b = (score_region(disc(x), disc(y), None, is_head=True) for x, y in ((60, 70), (70, 60)))
    for name in ("dice", "iou", "hd95_px", "assd_px"):
        assert a[name] == pytest.approx(b[name])
    assert a["hc_error_percent"] < b["hc_error_percent"]


DIAGONAL = math.hypot(220, 240)
WORST = {"dice": 0, "iou": 0} | {f"{name}_px": DIAGONAL for name in ("hd95", "assd")}
WORST |= {f"{name}_mm": DIAGONAL / 10 for name in ("hd95", "assd")}


def test_a_missing_prediction_gets_the_worst_scores():
    reference = disc(60)
    scores = score_region(~reference & False, reference, 0.1, hc_mm=40.0, is_head=True)
    assert scores == pytest.approx(
        WORST
        | {"missing": 1, "spurious": 0, "hc_error_percent": 100, "hc_published_error_mm": 40.0}
        | {"hc_error_mm": head_circumference_px(reference) / 10, "reference_share": reference.mean()}
    )


def test_a_region_where_there_is_none_gets_the_worst_scores():
    prediction = disc(60)
    scores = score_region(prediction, ~prediction & False, 0.1, is_head=True)
    error = head_circumference_px(prediction) / 10
    told = {"missing": 0, "spurious": 1, "hc_error_percent": 100, "hc_error_mm": error, "reference_share": 0}
    assert scores == pytest.approx(WORST | told)


def test_a_region_in_neither_mask_is_full_agreement():
    empty = np.zeros((220, 240), bool)
    scores = score_region(empty, empty, 0.1, is_head=True)
    assert scores == {name: float(name in ("dice", "iou")) for name in OF_ONE if name != "hc_published_error_mm"}


def test_every_case_has_the_same_metrics_whatever_was_predicted():
    """Cells are compared row by row."""
    masks = [disc(60), disc(70), np.zeros((220, 240), bool)]
    for arguments in ({}, {"is_head": True}, {"is_head": True, "hc_mm": 30.0}):
        for pixel_mm in (None, 0.1):
            found = {tuple(score_region(a, b, pixel_mm, **arguments)) for a in masks for b in masks}
            assert len(found) == 1
            assert sorted(names := found.pop(), key=list(METRICS).index) == list(names)


def test_one_pixel_off_target():
    scores = score_region(square(0, 0, 1), square(30, 40, 1), None)
    assert (scores["dice"], scores["iou"], scores["missing"], scores["spurious"]) == (0, 0, 0, 0)
    assert (scores["hd95_px"], scores["assd_px"]) == (50, 50)


def test_no_pixel_size_no_millimetres():
    scores = score_region(disc(60), disc(70), None, hc_mm=40.0, is_head=True)
    assert not [name for name in scores if name.endswith("_mm")]
    assert scores["hc_error_percent"] > 0


def test_worst_values_are_those_of_the_registry():
    scores = score_region(~disc(60) & False, disc(60), 0.1, is_head=True)
    for name, value in scores.items():
        assert METRICS[name].worst in (None, value) or name == "spurious"


PSFHS = (Structure("pubic_symphysis", "symphysis"), Structure("fetal_head", "head"))


def two_structures(symphysis: bool, head: bool) -> np.ndarray:
    mask = np.zeros((40, 50), np.uint8)
    mask[2:8, 2:12] = symphysis
    mask[15:35, 15:40] = 2 * head
    return mask


def rows_of(prediction: np.ndarray, reference: np.ndarray, **fields) -> dict[tuple[str, str], float]:
    case = Case("a", "c", "p", np.zeros_like(reference), reference, mask_source="annotated", **fields)
    rows = score_case(prediction, case, regions_of(PSFHS, {"all": ["pubic_symphysis", "fetal_head"]}), pair_of(PSFHS))
    assert all(row["case"] == "a" and row["unit"] == METRICS[row["metric"]].unit for row in rows)
    return {(row["region"], row["metric"]): row["value"] for row in rows}


def test_the_head_is_measured_whatever_it_is_called():
    rows = rows_of(two_structures(True, True), two_structures(True, True), pixel_mm=0.1)
    assert {region for region, metric in rows if metric == "hc_error_mm"} == {"fetal_head"}
    assert rows["fetal_head", "hc_error_mm"] == 0


def test_regions_are_structures_and_then_unions():
    assert regions_of(PSFHS, {"all": ["fetal_head", "pubic_symphysis"]}) == [
        Region("pubic_symphysis", (1,), of_pair=True), Region("fetal_head", (2,), is_head=True, of_pair=True),
        Region("all", (2, 1), of_pair=True),
    ]  # fmt: skip
    assert regions_of(PSFHS[1:], {}) == [Region("fetal_head", (1,), is_head=True)]


def test_a_union_does_not_care_which_structure_a_pixel_is():
    swapped = two_structures(True, True)
    swapped[swapped > 0] = 3 - swapped[swapped > 0]
    rows = rows_of(swapped, two_structures(True, True))
    assert [rows[region, "dice"] for region in ("pubic_symphysis", "fetal_head", "all")] == [0, 0, 1]


def test_a_structure_predicted_where_there_is_none_is_scored():
    rows = rows_of(two_structures(True, True), two_structures(False, True))
    assert (rows["pubic_symphysis", "dice"], rows["pubic_symphysis", "spurious"]) == (0, 1)
    assert (rows["fetal_head", "dice"], rows["fetal_head", "spurious"]) == (1, 0)
    assert 0 < rows["all", "dice"] < 1


def test_a_prediction_of_another_shape_is_refused():
    with pytest.raises(InputError, match="case 'a': prediction .* predict it again"):
        rows_of(two_structures(True, True)[1:], two_structures(True, True))


def test_import_is_light():
    module = "pipeline.tasks.segmentation.scores"
    code = f"import sys, {module}; sys.exit(bool({{'torch', 'scipy.ndimage'}} & sys.modules.keys()))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
