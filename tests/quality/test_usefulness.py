import numpy as np
import pytest

from pipeline.quality.usefulness import LABELS, SYNTHETIC, UNSEEN, blind_dice, usefulness_measures


def squares(offsets, k=1):
    masks = np.zeros((len(offsets), 10, 10), np.uint8)
    for mask, offset in zip(masks, offsets, strict=True):
        mask[2:6, 2 + offset : 6 + offset] = k
    return masks


def test_the_blind_guess_is_perfect_where_masks_never_change():
    np.testing.assert_allclose(blind_dice(squares([0, 0, 0]), squares([0, 0]), 1), 1)


def test_the_blind_guess_is_the_overlap_with_the_mean_mask():
    np.testing.assert_allclose(blind_dice(squares([0, 0, 3]), squares([0, 1, 2, 4]), 1), [1, 0.75, 0.5, 0])


def test_a_structure_absent_from_both_counts_as_found():
    np.testing.assert_allclose(blind_dice(squares([0]), squares([0]), 2), 1)


def test_each_measure_stands_between_the_real_labels_and_the_blind_guess():
    masks = {SYNTHETIC: squares([1, 1]), LABELS: squares([0, 0]), UNSEEN: squares([0, 2])}
    dice = {
        (SYNTHETIC, UNSEEN): np.array([0.8, 0.9]),
        (LABELS, UNSEEN): np.array([0.9, 1.0]),
        (LABELS, SYNTHETIC): np.array([0.6, 0.8]),
    }
    tstr, trts = usefulness_measures(dice, masks, 1, 0)
    assert (tstr.name, tstr.value, tstr.best) == ("tstr", pytest.approx(0.85), pytest.approx(0.95))
    assert tstr.worst == pytest.approx(0.75)
    assert (trts.name, trts.value, trts.worst) == ("trts", pytest.approx(0.7), pytest.approx(0.75))
    assert tstr.low <= tstr.value <= tstr.high
