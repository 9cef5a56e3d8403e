"""The classifier two-sample test on features whose answer is known."""

import numpy as np
import pytest

from pipeline.quality.two_sample import patient_folds, two_sample_test

COUNT, DIMENSIONS = 60, 100


def sample(seed, shift=0.0, count=COUNT):
    return np.random.default_rng(seed).normal(size=(count, DIMENSIONS)) + shift


def patients(prefix, count=COUNT, each=2):
    return [f"{prefix}-{i // each:03d}" for i in range(count)]


def test_two_halves_of_one_distribution_are_not_told_apart():
    found = [two_sample_test(sample(i), sample(100 + i), patients("a"), patients("b"), 0) for i in range(12)]
    assert np.mean([one.auc for one in found]) == pytest.approx(0.5, abs=0.05)
    assert sum(one.low <= 0.5 <= one.high for one in found) >= 9
    assert {one.n for one in found} == {COUNT}


def test_a_shift_is_told_the_better_the_larger_it_is():
    found = [two_sample_test(sample(0), sample(1, shift), patients("a"), patients("b"), 0) for shift in (0.1, 0.3, 1.0)]
    aucs = [one.auc for one in found]
    assert aucs == sorted(aucs) and aucs[0] < 0.9 and aucs[-1] > 0.999
    assert all(one.low <= one.auc <= one.high for one in found)


def test_a_copy_under_the_name_of_its_patient_does_not_leak():
    """Trained beside its copy of the other set, an image would be held for that set: an AUC near 0."""
    images = sample(0)
    together = two_sample_test(images, images.copy(), patients("a"), patients("a"), 0)
    apart = two_sample_test(images, images.copy(), patients("a"), patients("b"), 0)
    assert together.auc > 0.4
    assert apart.auc < 0.3, "the test would show it"


def test_images_of_a_patient_alike_do_not_make_sets_alike_or_apart():
    """Each patient's images lie close together; a split by image would tell the sets perfectly."""
    rng = np.random.default_rng(0)
    centres = np.repeat(rng.normal(size=(20, DIMENSIONS)), 6, axis=0)
    near = centres + 0.05 * rng.normal(size=centres.shape)
    found = two_sample_test(near[:60], near[60:], patients("a", 60, 6), patients("b", 60, 6), 0)
    by_image = two_sample_test(near[:60], near[60:], patients("a", 60, 1), patients("b", 60, 1), 0)
    assert 0.2 < found.auc < 0.8 and by_image.auc > 0.95
    assert found.high - found.low > by_image.high - by_image.low


def test_order_changes_nothing_and_repeats_are_equal():
    first, second, a, b = sample(0), sample(1, 0.1), patients("a"), patients("b")
    known = two_sample_test(first, second, a, b, 3)
    assert known == two_sample_test(first, second, a, b, 3)
    order, other = (np.random.default_rng(i).permutation(COUNT) for i in range(2))
    moved = two_sample_test(first[order], second[other], [a[i] for i in order], [b[i] for i in other], 3)
    assert known == moved


def test_scales_of_features_change_nothing():
    first, second, scale = sample(0), sample(1, 0.2), np.geomspace(1e-3, 1e3, DIMENSIONS)
    known = two_sample_test(first, second, patients("a"), patients("b"), 0)
    scaled = two_sample_test(first * scale + 5, second * scale + 5, patients("a"), patients("b"), 0)
    assert scaled.auc == pytest.approx(known.auc, abs=1e-3)


def test_one_patient_is_no_test():
    one = two_sample_test(sample(0), sample(1), patients("a", each=COUNT), patients("b"), 0)
    assert one == (None, None, None, COUNT)
    two = two_sample_test(sample(0), sample(1), patients("a", each=COUNT // 2), patients("b"), 0)
    assert 0 <= two.auc <= 1


def test_features_that_do_not_vary_are_left_out():
    found = two_sample_test(np.ones((8, 5)), np.ones((8, 5)), patients("a", 8), patients("b", 8), 0)
    assert found.auc == 0.5


def test_folds_keep_patients_together_and_spread_both_sets():
    names = np.array(patients("a", 60, 3) + patients("b", 60, 6))
    truth = np.repeat([False, True], 60)
    folds = patient_folds(names, truth, 0)
    assert all(len(set(folds[names == name])) == 1 for name in set(names))
    assert {tuple(np.bincount(folds[truth == kind])) for kind in (False, True)} == {(12,) * 5}
    assert set(patient_folds(np.array(["a", "b", "c", "d", "d"]), np.array([0, 0, 0, 1, 1]) > 0, 0) or [None]) == {None}
