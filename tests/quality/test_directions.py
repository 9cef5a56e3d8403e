"""Which measure sees which harm, and which must not: masks and copies, on rings that a threshold segments.

Blur, noise, grey levels and dropped modes are in test_fidelity.py, test_radiomics_distance.py and test_variety.py,
rims in test_imprint.py, copies and their disguises in test_training_distance.py.
"""

from dataclasses import replace

import numpy as np
import pytest

from pipeline.quality.assessment import agreement_measures, imprint_measure, radiomics_measure
from pipeline.quality.measurement import measure
from pipeline.quality.training_distance import training_distance


def threshold(images):
    """An evaluation network for rings: the ring and what is inside it are brighter or darker than the field."""
    return ((np.abs(images[:, 0] - (90 / 127.5 - 1)) > 0.25) & (images[:, 0] > -0.99)).astype(np.uint8)


def measured(cases):
    return measure(
        cases,
        size=64,
        n_structures=1,
        network_size=64,
        segment=threshold,
    )


@pytest.fixture(scope="module")
def rings(ring):
    """Labels, unseen and fresh cases."""
    return {
        name: [ring(start + i, patient=f"{name}-{i}") for i in range(16)]
        for start, name in ((0, "labels"), (100, "unseen"), (200, "fresh"))
    }


@pytest.fixture(scope="module")
def real(rings):
    return {name: measured(cases) for name, cases in rings.items()}


def moved(cases, pixels):
    return [replace(case, mask=np.roll(case.mask, pixels, axis=1)) for case in cases]


def scores(cases, real):
    """Every measure that needs no network of features, by name."""
    own = measured(cases)
    found = training_distance(
        own.descriptors, real["labels"].descriptors, real["unseen"].descriptors, real["labels"].patients
    )
    dice, boundary = agreement_measures(own, real["unseen"], ["head"], 0)
    sets = {"synthetic": own, "unseen": real["unseen"], "foreign": real["unseen"], "reference": real["labels"]}
    return {
        "dice": dice.value,
        "boundary": boundary.value,
        "radiomics": radiomics_measure(sets, foreign="none", resamples=0, seed=0).value,
        "imprint": imprint_measure(own, real["unseen"], real["labels"], 0).value,
        "training_distance": np.median(found.distance) / np.median(found.unseen),
        "copies": found.copies.mean(),
    }


def test_displaced_masks_lose_agreement_and_nothing_leaks(rings, real):
    found = [scores(moved(rings["fresh"], pixels), real) for pixels in (0, 2, 5, 10)]
    dice, boundary = ([one[name] for one in found] for name in ("dice", "boundary"))
    assert dice == sorted(dice, reverse=True) and dice[0] > 0.95 and dice[-1] < 0.8
    assert boundary == sorted(boundary) and boundary[-1] > 4 * boundary[0]
    for name in ("training_distance", "copies"):
        assert len({one[name] for one in found}) == 1, f"{name} looks at images alone"


def test_copies_are_not_new_and_agree_as_well_as_any(rings, real):
    found = [scores([*rings["labels"][:k], *rings["fresh"][k:]], real) for k in (0, 8, 16)]
    assert [one["copies"] for one in found] == [0, 0.5, 1]
    ratios = [one["training_distance"] for one in found]
    assert ratios == sorted(ratios, reverse=True) and ratios[-1] == pytest.approx(0, abs=1e-3)
    assert min(one["dice"] for one in found) > 0.95, "mask agreement cannot see copying"
    assert found[-1]["radiomics"] < found[0]["radiomics"], "distances between distributions reward copying"


def test_darker_images_are_seen_by_radiomics_and_by_nothing_that_ignores_grey_levels(rings, real):
    def darker(share):
        return [replace(case, image=(share * case.image).astype(np.uint8)) for case in rings["fresh"]]

    found = [scores(darker(share), real) for share in (1, 0.95, 0.9, 0.8)]
    radiomics = [one["radiomics"] for one in found]
    assert radiomics == sorted(radiomics) and radiomics[-1] > 2 * radiomics[0]
    assert np.ptp([one["training_distance"] for one in found]) < 0.05
    assert {one["copies"] for one in found} == {0}
