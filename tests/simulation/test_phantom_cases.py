"""Phantom cases keep the dataset contract and are pure functions of (cohort, index, seed)."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np
import pytest

from pipeline.data.case import Case, check_case, pixel_hash
from pipeline.run.errors import InputError
from pipeline.simulation import COHORTS, plan_case, simulate_case


def _digest(case: Case) -> tuple[object, ...]:
    mask = None if case.mask is None else pixel_hash(case.mask)
    return case.id, case.patient, pixel_hash(case.image), mask, case.pixel_mm, case.hc_mm, case.device


@pytest.mark.parametrize("cohort", COHORTS)
def test_case_keeps_the_contract(cohort: str) -> None:
    case = simulate_case(cohort, 7, seed=2)
    check_case(case, n_structures=1)
    assert case.id == f"{cohort}-0007"
    assert case.patient.startswith(f"{cohort}-p")
    assert (case.mask is None) == (cohort == "phantom_d")
    assert case.mask_source == (None if cohort == "phantom_d" else "annotated")
    assert (case.hc_mm is None) == (case.ga_days is None) == (case.mask is None) and case.pixel_mm > 0
    assert case.image.std() > 10


def test_case_is_a_pure_function_of_cohort_index_and_seed() -> None:
    wanted = [(cohort, index) for cohort in COHORTS for index in (0, 3)]
    first = [_digest(simulate_case(cohort, index, 5)) for cohort, index in wanted]
    np.random.default_rng(0).shuffle(order := list(range(len(wanted))))
    with ThreadPoolExecutor(3) as pool:
        again = list(pool.map(lambda position: _digest(simulate_case(*wanted[position], 5)), order))
    assert [first[position] for position in order] == again


GOLDEN = (
    ("phantom_a", "14934ee3b90da7c5", 185.06286556817292, 0.32036999975253116, 21.736,
     [18, 17, 16, 16, 16, 14, 12, 13, 16, 16, 17, 18]),
    ("phantom_b", "81b4dd6ab4f41e5a", 181.66193431550957, 0.25447472364805584, 46.714,
     [120, 124, 128, 130, 135, 140, 143, 146, 149, 154, 159, 167]),
    ("phantom_c", "a6daefda47ffa45d", 260.6905235405002, 0.45922760677929997, 28.381,
     [16, 16, 16, 16, 16, 15, 13, 12, 10, 10, 9, 10]),
    ("phantom_d", None, None, 0.8773608873544031, 44.101, [84, 85, 89, 88, 82, 82, 80, 76, 65, 58, 54, 46]),
)  # fmt: skip


@pytest.mark.parametrize(("cohort", "mask", "hc_mm", "pixel_mm", "mean", "row"), GOLDEN)
def test_heads_stay_as_they_were(cohort, mask, hc_mm, pixel_mm, mean, row) -> None:
    case = simulate_case(cohort, 2, seed=0)
    assert (None if case.mask is None else pixel_hash(case.mask)[:16]) == mask
    assert (case.hc_mm, case.pixel_mm) == (pytest.approx(hc_mm), pytest.approx(pixel_mm))
    assert case.image.mean() == pytest.approx(mean, abs=0.01)
    # Another processor may sum in another order.
    np.testing.assert_allclose(case.image[case.image.shape[0] // 2, 120:132].astype(int), row, atol=1)


def test_seeds_cohorts_and_indices_give_different_images() -> None:
    images = [simulate_case("phantom_a", 0, 1), simulate_case("phantom_a", 0, 2), simulate_case("phantom_a", 1, 1)]
    assert len({pixel_hash(case.image) for case in images}) == 3


@pytest.mark.parametrize("cohort", COHORTS)
def test_patients_own_consecutive_images_of_one_anatomy(cohort: str) -> None:
    plans = [plan_case(cohort, index, seed=1) for index in range(45)]
    numbers = [plan.patient_number for plan in plans]
    assert numbers == sorted(numbers) and numbers[0] == 0
    assert set(numbers) == set(range(max(numbers) + 1))
    assert 2 <= max(Counter(numbers).values()) <= 3
    for before, after in pairwise(plans):
        same = before.anatomy.patient.contour.circumference_mm == after.anatomy.patient.contour.circumference_mm
        assert same == (before.patient_number == after.patient_number)
        assert before.anatomy.pose != after.anatomy.pose


def test_devices_look_different() -> None:
    cases = {cohort: [simulate_case(cohort, index, 6) for index in range(4)] for cohort in COHORTS}
    assert len({case.device for group in cases.values() for case in group}) == len(COHORTS)
    assert {case.image.shape for case in cases["phantom_a"]} != {case.image.shape for case in cases["phantom_b"]}
    assert len({case.image.shape for case in cases["phantom_c"]}) > 1


def test_unknown_cohorts_and_negative_indices_are_refused() -> None:
    with pytest.raises(InputError, match="phantom_a"):
        simulate_case("phantom_z", 0, 0)
    with pytest.raises(InputError, match="negative"):
        simulate_case("phantom_a", -1, 0)
