"""One pass over a set: what is kept of every image, whatever the chunk or the number of threads."""

from dataclasses import replace

import numpy as np
import pytest

from pipeline.quality import measurement
from pipeline.quality.assessment import sample_rows
from pipeline.quality.measurement import Measured, measure
from pipeline.quality.training_distance import training_distance

SIZE = 48


def bright_ring(images):
    """An evaluation network for these rings: the ring and what is inside it are dark or bright, the field is not."""
    found = (np.abs(images[:, 0] - (90 / 127.5 - 1)) > 0.25) & (images[:, 0] > -0.99)
    return found.astype(np.uint8)


def measured(cases, threads=1):
    return measure(
        cases,
        size=SIZE,
        n_structures=1,
        network_size=64,
        segment=bright_ring,
        threads=threads,
    )


def equal(a: Measured, b: Measured) -> None:
    for name in Measured.__dataclass_fields__:
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name), err_msg=name)


@pytest.fixture(scope="module")
def cases(ring):
    return [ring(i) for i in range(7)]


def test_every_image_leaves_a_row(cases):
    found = measured(cases)
    assert len(found) == 7 and found.ids == [case.id for case in cases]
    assert found.dice.shape == found.boundary.shape == (7, 1) and found.shapes.shape == (7, 1, 5)
    assert (found.dice > 0.9).all() and (found.boundary < 0.02).all()
    assert np.isfinite(found.radiomics).all() and found.appearance[:, 0].min() > 0


def test_chunks_and_threads_change_nothing(cases, monkeypatch):
    whole = measured(cases)
    equal(whole, measured(cases, threads=2))
    monkeypatch.setattr(measurement, "CHUNK", 3)
    equal(whole, measured(cases))


def test_the_floor_is_agreement_with_the_mask_of_the_image_before(cases):
    moved = [replace(case, mask=np.roll(case.mask, 12 * (i % 2), axis=1)) for i, case in enumerate(cases)]
    found = measured(moved)
    assert np.isnan(found.shuffled_dice[0]).all()
    # Image 1 and the mask of image 0 fit, though its own mask was moved away.
    assert found.shuffled_dice[1, 0] > found.dice[1, 0]


def test_without_a_mask_the_map_of_the_evaluation_network_stands_for_it(cases):
    bare = measured([replace(case, mask=None, mask_source=None) for case in cases])
    known = measured(cases)
    assert np.isnan(bare.dice).all() and np.isnan(bare.shuffled_dice).all()
    np.testing.assert_allclose(bare.shapes[:, 0, 0], known.shapes[:, 0, 0], rtol=0.15)
    np.testing.assert_array_equal(bare.descriptors, known.descriptors)


def test_an_image_in_which_nothing_is_found_has_no_head(cases):
    empty = replace(cases[0], image=np.full_like(cases[0].image, 90), mask=None, mask_source=None)
    found = measured([empty])
    assert np.isnan(found.shapes).all() and np.isnan(found.imprint).all() and np.isnan(found.appearance[:, 0]).all()
    half = found.radiomics.shape[1] // 2
    assert np.isnan(found.radiomics[0, :half]).all() and np.isfinite(found.radiomics[0, half:]).all()


def test_the_table_of_samples_holds_both_sets_and_flags(ring):
    reference = measured([ring(i) for i in range(12)])
    unseen, own = measured([ring(i) for i in range(20, 26)]), measured([ring(3), ring(40)])
    found = training_distance(own.descriptors, reference.descriptors, unseen.descriptors, reference.patients)
    rows = sample_rows(own, unseen, reference, found, reference.ids, ["head"])
    assert [row["set"] for row in rows] == ["synthetic"] * 2 + ["unseen"] * 6
    assert rows[0]["copy"] and rows[0]["nearest"] == "case-003" and rows[0]["distance"] < 0.01
    assert not rows[1]["copy"]
    assert not any(row["copy"] for row in rows[2:])
    assert set(rows[0]) == set(rows[-1])
    assert not [name for name in rows[0] if name.startswith(("mask_agreement_", "aop_"))], "one structure, no angle"
