import math
import subprocess
import sys

import numpy as np
import pytest
from scipy import ndimage

from pipeline.run.errors import InputError
from pipeline.tasks.segmentation.biometry import head_circumference_px
from pipeline.tasks.segmentation.scores import score_case


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
    scores = score_case(disc(60), disc(60), 0.5)
    assert (scores.dice, scores.iou) == (1, 1)
    assert (scores.hd95_px, scores.assd_px, scores.hd95_mm, scores.assd_mm) == (0, 0, 0, 0)
    assert (scores.hc_error_mm, scores.hc_error_percent, scores.missing) == (0, 0, False)


def test_shifted_squares():
    """Two squares of edge 10, the second 4 columns to the right: 6 of 10 columns are common."""
    scores = score_case(square(5, 5, 10), square(5, 9, 10), 0.5)
    assert scores.dice == pytest.approx(0.6)
    assert scores.iou == pytest.approx(60 / 140)
    # Of a square's 36 outline pixels, the 10 of its far side lie 4 columns from the other outline.
    assert scores.hd95_px == 4
    # Then 3, 2, 1 along top and bottom; the eight inner pixels of the near side lie inside the other square, nearest to
    # its side 4 columns away or to its top or bottom.
    inside = [min(4, row, 9 - row) for row in range(1, 9)]
    assert scores.assd_px == pytest.approx((10 * 4 + 2 * (3 + 2 + 1) + sum(inside)) / 36)
    assert (scores.hd95_mm, scores.assd_mm) == pytest.approx((2, scores.assd_px / 2))
    assert scores.hc_error_percent == pytest.approx(0, abs=1e-9)


def test_nested_discs():
    scores = score_case(disc(70), disc(80), 0.2)
    assert scores.dice == pytest.approx(2 * 70**2 / (70**2 + 80**2), rel=0.01)
    assert scores.hd95_px == pytest.approx(10, abs=0.8)
    assert scores.assd_px == pytest.approx(10, abs=0.8)
    assert scores.hc_error_mm == pytest.approx(0.2 * 2 * math.pi * 10, rel=0.02)
    assert scores.hc_error_percent == pytest.approx(12.5, rel=0.02)


@pytest.mark.parametrize("seed", range(4))
def test_agrees_with_monai(seed):
    import torch
    from monai.metrics import compute_average_surface_distance, compute_dice, compute_hausdorff_distance, compute_iou

    a, b = blob(seed), blob(seed + 100)
    x, y = (torch.from_numpy(mask)[None, None] for mask in (a, b))
    scores = score_case(a, b, None)
    assert scores.dice == pytest.approx(compute_dice(x, y).item(), rel=1e-6)
    assert scores.iou == pytest.approx(compute_iou(x, y).item(), rel=1e-6)
    hd95 = compute_hausdorff_distance(x, y, include_background=True, percentile=95)
    assert scores.hd95_px == pytest.approx(hd95.item(), rel=1e-6)
    assd = compute_average_surface_distance(x, y, include_background=True, symmetric=True)
    assert scores.assd_px == pytest.approx(assd.item(), rel=1e-6)


@pytest.mark.parametrize("change", [np.transpose, np.fliplr, lambda mask: np.pad(mask, ((3, 8), (5, 0)))])
def test_invariant(change):
    a, b = disc(60), ndimage.shift(disc(70).astype(np.uint8), (5, -9), order=0).astype(bool)
    expected, found = vars(score_case(a, b, 0.3)), vars(score_case(change(a), change(b), 0.3))
    assert found == pytest.approx(expected, rel=1e-9)


def test_symmetric_but_for_the_circumference():
    a, b = score_case(disc(60), disc(70), None), score_case(disc(70), disc(60), None)
    assert (a.dice, a.iou, a.hd95_px, a.assd_px) == pytest.approx((b.dice, b.iou, b.hd95_px, b.assd_px))
    assert a.hc_error_percent < b.hc_error_percent


def test_missing_prediction_gets_the_worst_scores():
    reference = disc(60)
    scores = score_case(np.zeros_like(reference), reference, 0.1)
    diagonal = math.hypot(220, 240)
    assert scores.missing
    assert (scores.dice, scores.iou) == (0, 0)
    assert (scores.hd95_px, scores.assd_px) == (diagonal, diagonal)
    assert (scores.hd95_mm, scores.assd_mm) == pytest.approx((diagonal / 10, diagonal / 10))
    assert scores.hc_error_mm == pytest.approx(head_circumference_px(reference) / 10)
    assert scores.hc_error_percent == 100


def test_one_pixel_off_target():
    scores = score_case(square(0, 0, 1), square(30, 40, 1), None)
    assert (scores.dice, scores.iou, scores.missing) == (0, 0, False)
    assert (scores.hd95_px, scores.assd_px) == (50, 50)


def test_no_pixel_size_no_millimetres():
    scores = score_case(disc(60), disc(70), None)
    assert (scores.hd95_mm, scores.assd_mm, scores.hc_error_mm) == (None, None, None)
    assert scores.hc_error_percent > 0


def test_class_indices_count_as_a_mask():
    assert score_case(disc(60).astype(np.uint8), disc(60), None).dice == 1


def test_bad_input():
    with pytest.raises(InputError, match="empty"):
        score_case(disc(60), np.zeros_like(disc(60)), None)
    with pytest.raises(InputError, match="differ in shape"):
        score_case(disc(60), disc(60)[1:], None)


def test_import_is_light():
    module = "pipeline.tasks.segmentation.scores"
    code = f"import sys, {module}; sys.exit(bool({{'torch', 'scipy.ndimage'}} & sys.modules.keys()))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("missing", [False, True])
def test_what_is_no_head_has_no_circumference(missing):
    reference = np.zeros((20, 20), bool)
    reference[5:12, 5:15] = True
    prediction = np.roll(reference, 1, axis=0) & (not missing)
    scores, whole = (score_case(prediction, reference, 0.5, is_head=head) for head in (False, True))
    assert (scores.hc_error_mm, scores.hc_error_percent) == (None, None)
    assert (scores.dice, scores.hd95_mm) == (whole.dice, whole.hd95_mm)
