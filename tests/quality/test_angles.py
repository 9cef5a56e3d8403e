"""Angles of progression of a set: distances and errors in closed form, and the directions they must move in."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from pipeline.data.case import Case
from pipeline.quality.angles import angle_measures
from pipeline.quality.assessment import sample_rows
from pipeline.quality.measurement import measure
from pipeline.quality.measures import CATALOGUE, DESCRIPTORS, find
from pipeline.quality.samples_table import percentile_tables, titles
from pipeline.quality.training_distance import training_distance
from pipeline.quality.verdicts import key_measures
from pipeline.tasks.segmentation.pair import Pair
from tests.tasks.scenes import random_scene

REAL = np.linspace(80, 160, 41)


def of(angle, found=None):
    angle = np.asarray(angle, float)
    return SimpleNamespace(angle=angle, found_angle=angle if found is None else np.asarray(found, float))


def measured(synthetic, unseen=None, resamples=0):
    sets = {"synthetic": synthetic, "unseen": unseen or of(REAL), "reference": of(REAL)}
    return angle_measures(sets, np.arange(41) % 4 == 0, "real", resamples, 0)


def value(measures, name, view=None):
    (one,) = (one for one in find(measures, name) if one.view == view)
    return one


def test_a_shift_of_all_angles_is_their_distance():
    found = value(measured(of(REAL + 7), resamples=20), "aop_distance", "train_split")
    assert found.value == pytest.approx(7) and found.best == 0 and found.low < 7 < found.high
    # Of evenly spread values over 80 degrees the median is 20 away on average.
    assert found.worst == pytest.approx(20, abs=0.6)
    assert value(measured(of(REAL + 7)), "aop_distance", "own_labels").value == pytest.approx(7, abs=1)


def test_shares_of_rare_angles_and_their_edges():
    found = measured(of([89.9, 90, 139.9, 140, np.nan]))
    assert value(found, "aop_below_90").value == value(found, "aop_from_140").value == 0.25
    assert value(found, "aop_below_90").n == 4 and value(found, "aop_below_90").best == pytest.approx(5 / 41)


def test_the_error_is_of_what_is_read_and_its_failures_are_counted():
    mask, read = [100, 110, 120, 130], [103, 109, np.nan, 136]
    found = measured(of(mask, read), of(REAL, REAL + 2))
    error, unread = value(found, "aop_error"), value(found, "aop_unread")
    assert error.value == pytest.approx(10 / 3) and error.best == pytest.approx(2) and error.n == 3
    assert unread.value == 0.25 and unread.best == 0
    # Against the mask of the image before: 103 v 130, 109 v 100, 136 v 120.
    assert error.worst == pytest.approx((27 + 9 + 16) / 3)
    assert error in key_measures(found, "mask_agreement")


def test_a_set_without_any_angle_has_measures_without_a_value():
    found = measured(of([np.nan] * 5))
    assert {one.name for one in found} == {one.name for one in measured(of(REAL))}
    assert all(one.value is None for one in found if one.name != "aop_unread")
    assert all(one.name in CATALOGUE for one in found)


SIZE = 64


@pytest.fixture(scope="module")
def pairs():
    """Images whose grey levels are their masks, so that a threshold segments them."""
    rng, made = np.random.default_rng(0), []
    for i in range(16):
        mask = random_scene(rng).class_map()[::2, ::2]
        image = (60 + 60 * mask + rng.normal(0, 3, mask.shape)).clip(0, 255).astype(np.uint8)
        made.append(Case(f"c{i}", "scenes", f"p{i}", image, mask, "train", mask_source="annotated"))
    return made


def levels(images):
    grey = (images[:, 0] + 1) * 127.5
    return np.where(grey > 150, 2, grey > 90).astype(np.uint8)


def of_cases(cases):
    options = {"size": 128, "network_size": 128, "n_structures": 2, "segment": levels}
    return measure(cases, **options, pair=Pair(1, 2))


def test_an_image_that_ignores_the_symphysis_of_its_mask_is_seen(pairs):
    """Agreement of the head hides nothing: each structure has its column, and the angle its own."""
    turned = [replace(case, mask=np.where(case.mask == 2, 2, np.roll(case.mask == 1, 12, 1))) for case in pairs[:8]]
    turned = [replace(case, mask=case.mask.astype(np.uint8)) for case in turned]
    obeying, ignoring, reference = of_cases(pairs[:8]), of_cases(turned), of_cases(pairs[8:])
    assert np.nanmean(np.abs(obeying.found_angle - obeying.angle)) < 1.5
    assert np.nanmean(np.abs(ignoring.found_angle - ignoring.angle)) > 8
    assert ignoring.dice[:, 0].max() < 0.8 < 0.95 < ignoring.dice[:, 1].min()
    found = training_distance(
        ignoring.descriptors, reference.descriptors, reference.descriptors, [str(i) for i in range(8)]
    )
    judged = sample_rows(ignoring, reference, of_cases(pairs), found, reference.ids, ["bone", "head"], True)
    own = judged[0]
    assert own["mask_agreement_bone"] < own["mask_agreement"] < own["mask_agreement_head"]
    assert own["aop_deg"] == pytest.approx(ignoring.angle[0])
    assert own["aop_found_deg"] == pytest.approx(ignoring.found_angle[0])
    assert titles(judged)["mask_agreement_bone"] == "mask agreement of the bone, Dice"
    curves = percentile_tables(judged)
    assert {"mask_agreement_bone", "mask_agreement_head", "aop_deg", "aop_found_deg"} <= set(curves)


def test_the_angle_has_a_row_in_the_table_of_shapes():
    assert DESCRIPTORS["aop"] == ["angle of progression", 1, "degrees"]
