"""Masks, circumference and pixel size of phantoms agree with the analytic contour, and with each other."""

import numpy as np
import pytest
from scipy import ndimage
from scipy.special import ellipe
from skimage.measure import find_contours, label

from pipeline.simulation import Plan, plan_case, simulate_case
from pipeline.simulation.head.contour import head_contour, rasterise
from pipeline.simulation.head.growth import head_circumference_mm
from pipeline.simulation.outline import Pose
from pipeline.simulation.scan import inside_sector, polar_positions


def _mask(plan: Plan) -> np.ndarray:
    return plan.anatomy.mask(plan.frame)


def _touches_border(mask: np.ndarray) -> bool:
    return bool(mask[0].any() or mask[-1].any() or mask[:, 0].any() or mask[:, -1].any())


def test_ellipse_has_its_closed_form_circumference() -> None:
    contour = head_contour(200.0, cephalic_index=0.78)
    a, b = contour.half_length_mm, contour.half_width_mm
    assert b / a == pytest.approx(0.78, abs=1e-6)
    assert 4 * a * ellipe(1 - (b / a) ** 2) == pytest.approx(200, abs=1e-3)
    assert contour.area_mm2() == pytest.approx(np.pi * a * b, rel=1e-6)


def test_growth_follows_the_published_curve() -> None:
    assert head_circumference_mm(20) == pytest.approx(177, abs=1)
    assert head_circumference_mm(38) == pytest.approx(338, abs=3)


@pytest.mark.parametrize("cohort", ["phantom_a", "phantom_b", "phantom_c"])
def test_mask_circumference_and_pixel_size_agree_to_a_pixel(cohort: str) -> None:
    checked = 0
    for index in range(20):
        plan = plan_case(cohort, index, seed=3)
        mask = _mask(plan)
        assert label(mask).max() == 1
        if _touches_border(mask):
            continue
        pixel, contour = plan.frame.pixel_mm, plan.anatomy.patient.contour
        assert mask.sum() * pixel**2 == pytest.approx(contour.area_mm2(), abs=0.1 * pixel * contour.circumference_mm)
        edge = find_contours(ndimage.gaussian_filter(np.pad(mask, 4).astype(float), 1.5), 0.5)[0]
        perimeter = np.hypot(*np.diff(edge, axis=0).T).sum() * pixel
        # A contour one pixel off all round is 2 pi pixels longer.
        assert perimeter == pytest.approx(contour.circumference_mm, abs=2 * np.pi * pixel)
        checked += 1
    assert checked >= 8


def test_mask_lies_where_the_pose_says() -> None:
    plan = plan_case("phantom_a", 5, seed=3)
    contour = head_contour(200.0, 0.78)
    x, z = plan.frame.pixel_centres_mm()
    pose = Pose(float(x[200]), float(z[130]), 0.3)
    row, column = ndimage.center_of_mass(rasterise(contour, pose, x, z))
    assert (row, column) == (pytest.approx(130, abs=0.1), pytest.approx(200, abs=0.1))


def test_case_carries_the_exact_geometry() -> None:
    plan, case = plan_case("phantom_b", 4, seed=9), simulate_case("phantom_b", 4, seed=9)
    assert case.hc_mm == plan.anatomy.patient.contour.circumference_mm
    assert case.pixel_mm == plan.frame.pixel_mm
    assert np.array_equal(case.mask, _mask(plan))


def test_skull_echo_lies_on_the_mask_edge() -> None:
    offsets_px = np.arange(-20, 21, 2)
    total, count = np.zeros(len(offsets_px)), np.zeros(len(offsets_px))
    for index in range(8):
        case = simulate_case("phantom_a", index, seed=4)
        inside = case.mask.astype(bool)
        signed = ndimage.distance_transform_edt(~inside) - ndimage.distance_transform_edt(inside)
        shells = [case.image[np.abs(signed - offset) <= 1] for offset in offsets_px]
        total += [shell.sum() for shell in shells]
        count += [shell.size for shell in shells]
    peak_px = offsets_px[np.argmax(total / count)]
    assert -8 <= peak_px <= 0


def test_some_heads_are_cut_by_the_frame_or_the_sector_and_the_mask_by_the_frame_only() -> None:
    by_frame, beyond_sector = 0, 0
    for cohort in ("phantom_a", "phantom_b", "phantom_c"):
        for index in range(45):
            plan = plan_case(cohort, index, seed=0)
            mask = _mask(plan).astype(bool)
            scanned = inside_sector(*polar_positions(plan.frame, plan.sector), plan.sector)
            by_frame += _touches_border(mask)
            beyond_sector += (mask & ~scanned).any()
    assert by_frame >= 3
    assert beyond_sector >= 8


def test_heads_span_gestation_shapes_and_angles() -> None:
    plans = [plan_case("phantom_a", index, seed=0) for index in range(220)]
    circumference = np.array([plan.anatomy.patient.contour.circumference_mm for plan in plans])
    assert circumference.min() < 100 and circumference.max() > 290
    misfit = []
    for plan in plans:
        contour = plan.anatomy.patient.contour
        angle = np.arange(len(contour.radius_mm)) * (2 * np.pi / len(contour.radius_mm))
        a, b = contour.half_length_mm, contour.half_width_mm
        ellipse = 1 / np.hypot(np.cos(angle) / a, np.sin(angle) / b)
        misfit.append(np.abs(contour.radius_mm / ellipse - 1).max())
    assert np.mean(np.array(misfit) > 0.03) > 0.2
    tilt = np.array([np.abs(np.sin(plan.anatomy.pose.rotation_rad)) for plan in plans])
    assert np.median(tilt) < 0.3 and tilt.max() > 0.8
