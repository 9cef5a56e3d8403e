"""The cervix view: lips are exact, thin and along the canal, and are seen as declared."""

from collections import Counter
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from scipy import ndimage

from pipeline.data.case import check_case, pixel_hash
from pipeline.simulation import COHORTS, Plan, plan_case, simulate_case
from pipeline.simulation.cervix.anatomy import ANTERIOR, POSTERIOR, sample_patient
from pipeline.simulation.cervix.canal import Canal
from pipeline.simulation.cervix.cohorts import WOMEN
from pipeline.simulation.scan import inside_sector, polar_positions

VIEW = "cervix"
ANNOTATED = ("phantom_a", "phantom_b", "phantom_c")


def _plans(count: int, cohorts=ANNOTATED, seed: int = 0) -> list[Plan]:
    return [plan_case(cohort, index, seed, VIEW) for cohort in cohorts for index in range(count)]


@pytest.mark.parametrize("bend", [0.02, -0.015, 1e-5, -1e-5])
def test_positions_along_the_canal_are_exact_both_ways(bend: float) -> None:
    canal = Canal((3.0, 25.0), -0.3, bend, 34.0)
    along, across = np.mgrid[-17:17:12j, -14:14:12j]
    found = canal.own_coordinates(*canal.point(along, across))
    np.testing.assert_allclose(found, (along, across), atol=1e-6)
    assert canal.point(0.0, 0.0) == pytest.approx((3, 25))
    # Deeper is posterior, and the external os is on the right.
    assert canal.point(0.0, 5.0)[1] > 25 and canal.point(10.0, 0.0)[0] > 3
    x, z = canal.point(np.linspace(-17, 17, 4001), 0.0)
    assert np.hypot(np.diff(x), np.diff(z)).sum() == pytest.approx(34, rel=1e-6)
    ends = canal.point(np.array([-17.0, 17.0]), 0.0)[1].mean() - 25
    assert np.sign(ends) == np.sign(bend) or abs(bend) < 1e-4


def test_moving_a_canal_keeps_its_shape() -> None:
    canal = Canal((3.0, 25.0), -0.3, 0.02, 34.0)
    moved = canal.moved((2.0, -1.0), 0.4, (0.0, 10.0))
    x, z = canal.point(np.array([-17.0, 4.0, 12.0]), np.array([0.0, 5.0, -6.0]))
    cosine, sine = np.cos(0.4), np.sin(0.4)
    expected = x * cosine - (z - 10) * sine + 2, x * sine + (z - 10) * cosine + 9
    np.testing.assert_allclose(moved.point(np.array([-17.0, 4.0, 12.0]), np.array([0.0, 5.0, -6.0])), expected)


@pytest.mark.parametrize("factor", [1, 3])
def test_masks_are_the_lips_at_pixel_centres(factor: int) -> None:
    """Their outlines lie on the border of the mask, their areas are those of the polygon of the outline."""
    for plan in _plans(5):
        old = plan.frame
        size = {"width": old.width * factor, "height": old.height * factor, "pixel_mm": old.pixel_mm / factor}
        frame = replace(old, **size)
        mask = plan.anatomy.mask(frame)
        assert mask.shape == (frame.height, frame.width) and set(np.unique(mask)) <= {0, 1, 2}
        for value, lip in enumerate(plan.anatomy.cervix.lips, start=1):
            x, z = plan.anatomy.cervix.outline(lip, 4000)
            area = 0.5 * abs(np.dot(x, np.roll(z, -1)) - np.dot(z, np.roll(x, -1)))
            around = np.hypot(np.diff(x), np.diff(z)).sum()
            assert (mask == value).sum() * frame.pixel_mm**2 == pytest.approx(area, abs=0.1 * frame.pixel_mm * around)
            column = np.floor((x - frame.left_mm) / frame.pixel_mm).astype(int)
            row = np.floor((z - frame.top_mm) / frame.pixel_mm).astype(int)
            near = ndimage.binary_dilation(mask == value, iterations=2) & ~ndimage.binary_erosion(
                mask == value, iterations=2
            )
            assert near[row, column].all()


def test_lips_are_two_thin_structures_on_their_sides_of_the_canal() -> None:
    for plan in _plans(40, COHORTS):
        cervix, mask = plan.anatomy.cervix, plan.anatomy.mask(plan.frame)
        assert [lip.side for lip in cervix.lips] == [ANTERIOR, POSTERIOR]
        for value, lip in enumerate(cervix.lips, start=1):
            region = mask == value
            assert ndimage.label(region)[1] == 1
            along, across = cervix.canal.own_coordinates(*cervix.outline(lip, 500))
            assert (lip.side * across > 0.2).all(), "the canal stays free"
            assert np.ptp(along) > 1.7 * lip.thickness_mm, "longer than thick"
            assert 0.01 < region.mean() < 0.13


def test_lips_lie_in_the_picture_and_apart_from_the_head() -> None:
    seen = []
    for plan in _plans(60, COHORTS):
        mask, head = plan.anatomy.mask(plan.frame), plan.anatomy.head
        x, z = plan.frame.pixel_centres_mm()
        assert not head.contains(x[None, :], z[:, None])[mask > 0].any()
        assert head.centre_mm[0] < plan.anatomy.cervix.internal_os()[0], "the mother's head is on the left"
        scanned = inside_sector(*polar_positions(plan.frame, plan.sector), plan.sector)
        seen.append([(scanned & (mask == value)).sum() / (mask == value).sum() for value in (1, 2)])
    seen = np.array(seen)
    assert np.mean(seen > 0.95) > 0.9 and seen.min() > 0.5


def test_canals_follow_the_declared_distribution() -> None:
    patients = [sample_patient(WOMEN, (3, number)) for number in range(300)]
    lengths = np.array([one.cervix.canal.length_mm for one in patients])
    mean, sd = WOMEN.canal_mm
    assert lengths.mean() == pytest.approx(mean, abs=3 * sd / np.sqrt(300)) and lengths.std() == pytest.approx(
        sd, rel=0.15
    )
    open_ = [one for one in patients if one.cervix.funnel_share]
    assert 0.06 < len(open_) / 300 < 0.19
    for one in open_:
        cervix = one.cervix
        assert cervix.closed_mm < 0.81 * cervix.canal.length_mm
        inner, outer = cervix.half_gap_mm(np.array([-0.5, 0.5]) * cervix.canal.length_mm)
        assert 2 * inner == pytest.approx(cervix.gap_mm + cervix.funnel_mm) and 2 * outer == pytest.approx(
            cervix.gap_mm
        )
    assert all(one.cervix.closed_mm == one.cervix.canal.length_mm for one in patients if not one.cervix.funnel_share)


@pytest.mark.parametrize("cohort", COHORTS)
def test_case_keeps_the_contract(cohort: str) -> None:
    case = simulate_case(cohort, 5, 2, VIEW)
    check_case(case, n_structures=2)
    assert (case.mask is None) == (cohort == "phantom_d")
    assert case.hc_mm is None and case.aop_deg is None and case.pixel_mm > 0 and case.image.std() > 10
    if cohort == "phantom_a":
        assert case.image.shape == (336, 544)


def test_case_is_a_pure_function_of_its_arguments() -> None:
    first = pixel_hash(simulate_case("phantom_a", 3, 5, VIEW).image)
    others = [("phantom_a", 6, VIEW), ("phantom_b", 5, VIEW), ("phantom_a", 5, "intrapartum")]
    assert pixel_hash(simulate_case("phantom_a", 3, 5, VIEW).image) == first
    assert first not in [pixel_hash(simulate_case(name, 3, seed, view).image) for name, seed, view in others]


def test_images_of_a_patient_share_her_cervix_and_not_its_place() -> None:
    plans = _plans(28, ["phantom_a"])
    assert max(Counter(plan.patient_number for plan in plans).values()) == 3
    for before, after in pairwise(plans):
        if before.patient_number == after.patient_number:
            first, second = before.anatomy.cervix, after.anatomy.cervix
            assert first.lips == second.lips and first.closed_mm == second.closed_mm
            assert first.canal.middle_mm != second.canal.middle_mm


def test_waters_are_dark_and_the_skull_is_bright() -> None:
    """Against the lips, beside which both lie."""
    ring, lips, brain = [], [], []
    for index in range(0, 24, 2):
        plan, case = plan_case("phantom_a", index, 1, VIEW), simulate_case("phantom_a", index, 1, VIEW)
        x, z = plan.frame.pixel_centres_mm()
        head = plan.anatomy.head
        along, across = head.pose.own_coordinates(x[None, :], z[:, None])
        level, shown = np.hypot(along / head.long_mm, across / head.short_mm), case.image > 0
        ring.append(np.percentile(case.image[shown & (np.abs(level - 0.98) < 0.02)], 90))
        brain.append(np.median(case.image[shown & (level < 0.85)]))
        lips.append(np.median(case.image[case.mask > 0]))
    assert np.median(ring) > 1.2 * np.median(lips) > 1.5 * np.median(brain)
