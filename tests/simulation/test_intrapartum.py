"""The intrapartum view: angle, distance and masks are exact, and of the declared distribution."""

from collections import Counter
from dataclasses import replace
from itertools import pairwise
from statistics import NormalDist

import numpy as np
import pytest

from pipeline.data.case import check_case, pixel_hash
from pipeline.run.errors import InputError
from pipeline.simulation import COHORTS, VIEWS, Plan, plan_case, simulate_case
from pipeline.simulation.ellipse import Ellipse, gap_mm
from pipeline.simulation.intrapartum.anatomy import inferior_end, sample_patient
from pipeline.simulation.intrapartum.cohorts import WOMEN
from pipeline.simulation.scan import inside_sector, polar_positions
from pipeline.tasks.segmentation.biometry.progression import measure_progression

VIEW = "intrapartum"
ANNOTATED = ("phantom_a", "phantom_b", "phantom_c")


def _plans(count: int, cohorts=ANNOTATED, seed: int = 0) -> list[Plan]:
    return [plan_case(cohort, index, seed, VIEW) for cohort in cohorts for index in range(count)]


def _tangents(point: tuple[float, float], ellipse: Ellipse) -> np.ndarray:
    """Points (2, 2) where the tangents from a point touch an ellipse, in closed form.

    A shear and a turn make the ellipse the unit circle; seen from distance r, tangents touch it at +- acos(1 / r).
    """
    cosine, sine = np.cos(ellipse.rotation_rad), np.sin(ellipse.rotation_rad)
    axes = np.array([[cosine, sine], [-sine, cosine]])
    seen = axes @ (np.array(point) - ellipse.centre_mm) / [ellipse.long_mm, ellipse.short_mm]
    bearing = np.arctan2(seen[1], seen[0]) + np.array([1, -1]) * np.arccos(1 / np.hypot(*seen))
    touch = np.stack([ellipse.long_mm * np.cos(bearing), ellipse.short_mm * np.sin(bearing)], axis=1)
    return touch @ axes + ellipse.centre_mm


def _angle_of_progression(symphysis: Ellipse, head: Ellipse) -> float:
    """From the parameters of both ellipses: the larger of the angles to the two tangents, by the law of cosines."""
    inferior = np.array(inferior_end(symphysis))
    superior = 2 * np.array(symphysis.centre_mm) - inferior
    axis = superior - inferior
    rays = _tangents(tuple(inferior), head) - inferior
    return float(np.degrees(np.arccos(rays @ axis / np.hypot(*rays.T) / np.hypot(*axis))).max())


def _touches_border(mask: np.ndarray) -> bool:
    return bool(mask[0].any() or mask[-1].any() or mask[:, 0].any() or mask[:, -1].any())


@pytest.mark.parametrize("plan", _plans(12))
def test_angle_and_distance_are_those_of_the_ellipses(plan: Plan) -> None:
    symphysis, head, truth = plan.anatomy.symphysis, plan.anatomy.head, plan.anatomy.targets()
    assert _angle_of_progression(symphysis, head) == pytest.approx(truth["aop_deg"], abs=1e-6)
    x, z = inferior_end(symphysis)
    head_x, head_z = head.boundary(5000)
    assert truth["hsd_mm"] == pytest.approx(np.hypot(x - head_x, z - head_z).min(), abs=0.02)
    assert truth["hsd_mm"] > 0


def test_distance_of_circles_is_that_of_their_centres_less_the_radii() -> None:
    first, second = Ellipse((0, 0), 3, 3, 0.4), Ellipse((6, 8), 2, 2, 0)
    assert gap_mm(first, second) == pytest.approx(5, abs=1e-6)
    assert gap_mm(first, replace(second, centre_mm=(3, 0))) == pytest.approx(-2, abs=1e-6)


@pytest.mark.parametrize("height", [192, 256, 512])
def test_masks_measure_the_true_angle_and_distance(height: int) -> None:
    """By the product's own geometry, of heads that the border cuts too."""
    angles, distances = [], []
    for plan in _plans(40):
        factor = height / plan.frame.height
        width = round(plan.frame.width * factor)
        frame = replace(plan.frame, height=height, width=width, pixel_mm=plan.frame.pixel_mm / factor)
        mask, truth = plan.anatomy.mask(frame), plan.anatomy.targets()
        measured = measure_progression(mask == 1, mask == 2)
        assert measured.failure is None
        angles.append(abs(measured.aop_deg - truth["aop_deg"]))
        distances.append(abs(measured.hsd_px - truth["hsd_mm"] / frame.pixel_mm))
    assert np.mean(angles) < 0.3 * 256 / height and np.percentile(angles, 95) < 0.6 * 256 / height
    assert np.mean(distances) < 0.7


@pytest.mark.parametrize("factor", [1, 2, 4])
def test_masks_are_the_ellipses_at_pixel_centres(factor: int) -> None:
    for plan in _plans(6):
        old = plan.frame
        size = {"width": old.width * factor, "height": old.height * factor, "pixel_mm": old.pixel_mm / factor}
        frame = replace(old, **size)
        mask = plan.anatomy.mask(frame)
        for value, ellipse in ((1, plan.anatomy.symphysis), (2, plan.anatomy.head)):
            if not _touches_border(mask == value):
                area, around = np.pi * ellipse.long_mm * ellipse.short_mm, 2 * np.pi * ellipse.long_mm
                assert (mask == value).sum() * frame.pixel_mm**2 == pytest.approx(
                    area, abs=0.1 * frame.pixel_mm * around
                )
        if factor > 1:  # The centre of a coarse pixel lies between the four fine ones around it.
            inner = mask.reshape(old.height, factor, old.width, factor)[:, factor // 2 - 1 : factor // 2 + 1]
            inner = inner[..., factor // 2 - 1 : factor // 2 + 1]
            agreed = (inner.min((1, 3)) == inner.max((1, 3))) & (inner.max((1, 3)) > 0)
            assert (plan.anatomy.mask(old)[agreed] == inner.max((1, 3))[agreed]).all()


def test_the_head_lies_on_the_same_side_of_every_axis() -> None:
    for plan in _plans(60, COHORTS):
        symphysis, head = plan.anatomy.symphysis, plan.anatomy.head
        inferior = np.array(inferior_end(symphysis))
        axis, to_head = symphysis.centre_mm - inferior, head.centre_mm - inferior
        # To the left of a walk from the inferior to the superior end, as seen on the screen (z points down).
        assert axis[0] * to_head[1] - axis[1] * to_head[0] < 0
        assert inferior[0] > symphysis.centre_mm[0]


def test_the_two_never_overlap_and_the_symphysis_is_seen() -> None:
    seen = []
    for plan in _plans(60, COHORTS):
        assert gap_mm(plan.anatomy.symphysis, plan.anatomy.head) > 2.9
        mask = plan.anatomy.mask(plan.frame)
        scanned = inside_sector(*polar_positions(plan.frame, plan.sector), plan.sector)
        seen.append([(scanned & (mask == value)).sum() / (mask == value).sum() for value in (1, 2)])
    symphysis, head = np.array(seen).T
    assert np.mean(symphysis > 0.9) > 0.8 and symphysis.min() > 0.4
    assert np.median(head) > 0.9 and head.min() > 0.5
    assert np.mean(head < 0.999) > 0.2


def test_angles_follow_the_declared_distribution() -> None:
    angles = np.array([sample_patient(WOMEN, (3, number)).aop_deg for number in range(300)])
    mean, sd, low, high = WOMEN.aop_deg
    assert low <= angles.min() and angles.max() <= high
    normal = NormalDist(mean, sd)
    within = normal.cdf(high) - normal.cdf(low)
    for cut in (90, 108, 120, 140):
        expected = (normal.cdf(high) - normal.cdf(cut)) / within
        assert np.mean(angles >= cut) == pytest.approx(expected, abs=3 * np.sqrt(expected * (1 - expected) / 300))
    assert 0.27 < (normal.cdf(high) - normal.cdf(120)) / within < 0.34


def test_shares_of_the_picture_are_those_of_the_view() -> None:
    masks = [plan.anatomy.mask(plan.frame) for plan in _plans(60, ["phantom_a"])]
    share = np.array([np.bincount(mask.ravel(), minlength=3) / mask.size for mask in masks])
    assert 0.015 < np.median(share[:, 1]) < 0.04
    assert 0.18 < np.median(share[:, 2]) < 0.3


@pytest.mark.parametrize("cohort", COHORTS)
def test_case_keeps_the_contract(cohort: str) -> None:
    case = simulate_case(cohort, 5, 2, VIEW)
    check_case(case, n_structures=2)
    assert (case.mask is None) == (case.aop_deg is None) == (case.hsd_mm is None) == (cohort == "phantom_d")
    assert case.hc_mm is None and case.pixel_mm > 0 and case.image.std() > 10
    if case.mask is not None:
        assert set(np.unique(case.mask)) == {0, 1, 2}
        assert case.aop_deg == plan_case(cohort, 5, 2, VIEW).anatomy.patient.aop_deg


def test_case_is_a_pure_function_of_its_arguments() -> None:
    def told(cohort: str, seed: int, view: str) -> tuple:
        case = simulate_case(cohort, 3, seed, view)
        return pixel_hash(case.image), case.aop_deg, case.hsd_mm

    first = told("phantom_a", 5, VIEW)
    others = [told("phantom_a", 6, VIEW), told("phantom_b", 5, VIEW), told("phantom_a", 5, "head")]
    assert told("phantom_a", 5, VIEW) == first and first not in others


def test_images_of_a_patient_share_her_angle_and_not_her_place() -> None:
    plans = _plans(28, ["phantom_a"])
    of = [plan.patient_number for plan in plans]
    assert max(Counter(of).values()) == 3
    for before, after in pairwise(plans):
        if before.patient_number == after.patient_number:
            assert before.anatomy.targets() == pytest.approx(after.anatomy.targets(), abs=1e-6)
            assert before.anatomy.head.centre_mm != after.anatomy.head.centre_mm


def test_skull_and_capsule_are_bright_and_the_head_is_dark() -> None:
    ring, inner, outer = [], [], []
    for index in range(0, 24, 2):
        plan, case = plan_case("phantom_a", index, 1, VIEW), simulate_case("phantom_a", index, 1, VIEW)
        x, z = (part.astype(float) for part in plan.frame.pixel_centres_mm())
        head = plan.anatomy.head
        along, across = head.pose.own_coordinates(x[None, :], z[:, None])
        level = np.hypot(along / head.long_mm, across / head.short_mm)
        upper = (z[:, None] < head.centre_mm[1] - 0.6 * head.short_mm) & (case.image > 0)
        ring.append(np.percentile(case.image[upper & (np.abs(level - 0.97) < 0.03)], 75))
        inner.append(np.median(case.image[level < 0.8]))
        outer.append(np.median(case.image[upper & (level > 1.05)]))
    assert np.median(ring) > 1.3 * np.median(outer) and np.median(outer) > 1.5 * np.median(inner)


def test_unknown_views_are_refused() -> None:
    assert set(VIEWS) == {"head", "intrapartum", "cervix"}
    with pytest.raises(InputError, match="head, intrapartum, cervix"):
        plan_case("phantom_a", 0, 0, "brain")
