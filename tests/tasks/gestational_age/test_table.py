"""Rows that belong together, splits by patient, and statistics of the training cases alone."""

from dataclasses import replace

import numpy as np
import pytest

from pipeline.run.errors import InputError
from pipeline.tasks.gestational_age.patients import check_disjoint, grouped_folds
from pipeline.tasks.gestational_age.standardisation import LIMIT, Standardisation
from pipeline.tasks.gestational_age.table import ages_of, groups_of
from tests.tasks.gestational_age.made import NAMES, made


def test_rows_stay_together():
    inputs, _ = made(5)
    found = inputs.rows([3, 0])
    assert found.ids == (inputs.ids[3], inputs.ids[0]) and found.names == NAMES
    np.testing.assert_array_equal(found.radiomics, inputs.radiomics[[3, 0]])
    np.testing.assert_array_equal(found.tokens, inputs.tokens[[3, 0]])
    np.testing.assert_array_equal(found.features(NAMES[::-1]), found.radiomics[:, ::-1])


def test_feature_classes_are_what_stands_before_the_last_dot():
    assert groups_of(NAMES) == {"head.glcm": [0, 1], "head.shape": [2, 3], "image.first_order": [4]}
    assert groups_of(["glcm.contrast", "area"]) == {"glcm": [0], "area": [1]}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"pixel_mm": [0.1, 0.0]}, "case 'case-0-001': pixel_mm is not a size in mm per pixel"),
        ({"pixel_mm": [-0.1, np.nan]}, "case 'case-0-000': pixel_mm is not a size"),
        (
            {"pixel_mm": [0.1, 150.0]},
            "case 'case-0-001': the head is more than 500 mm around, so pixel_mm is not in mm",
        ),
        ({"hc_px": [np.inf, 900.0]}, "case 'case-0-000': hc_px is not a size in pixels"),
        ({"ids": ("a", "a")}, "case 'a' comes twice"),
        ({"patients": ("a",)}, "patients of 1 cases beside ids of 2"),
        ({"names": ("a.b",)}, r"radiomics of shape \(2, 5\) beside 1 names"),
    ],
)
def test_what_cannot_be_is_named(change, told):
    change = {key: np.array(value) if isinstance(value, list) else value for key, value in change.items()}
    with pytest.raises(InputError, match=told):
        replace(made(2)[0], **change)


@pytest.mark.parametrize(
    ("days", "told"),
    [
        ({"case-0-000": 100.0}, "no age of case 'case-0-001'"),
        ({"case-0-000": 100.0, "case-0-001": 120.0, "z": 1.0}, "an age of case 'z', which has no features"),
        ({"case-0-000": 100.0, "case-0-001": float("nan")}, "case 'case-0-001': an age of nan days"),
    ],
)
def test_ages_of_other_cases_are_named(days, told):
    with pytest.raises(InputError, match=told):
        ages_of(made(2)[0], days)
    assert ages_of(made(2)[0], {"case-0-001": 120, "case-0-000": 100}).tolist() == [100, 120]


def test_a_missing_feature_is_named():
    with pytest.raises(InputError, match=r"feature 'head\.glszm\.zones' is not among"):
        made(2)[0].features(["head.glszm.zones"])


@pytest.mark.parametrize("seed", range(5))
def test_folds_hold_each_patient_once_whatever_the_order(seed):
    rng = np.random.default_rng(seed)
    patients = np.array([f"p{number}" for number in rng.integers(0, 20, 70)])
    folds = grouped_folds(patients, 4, seed)
    assert sorted(np.concatenate(folds)) == list(range(70))
    held = [set(patients[fold]) for fold in folds]
    for number, one in enumerate(held):
        check_disjoint(held=sorted(one), rest=sorted(set().union(*held[:number], *held[number + 1 :])))
    order = rng.permutation(70)
    again = grouped_folds(patients[order], 4, seed)
    assert [set(patients[order][fold]) for fold in again] == held
    assert max(map(len, folds)) - min(map(len, folds)) < 15


def test_few_patients():
    assert [fold.tolist() for fold in grouped_folds(["a", "b", "a"], 5, 0)] in ([[0, 2], [1]], [[1], [0, 2]])
    with pytest.raises(InputError, match=r"1 patient\(s\) cannot be split"):
        grouped_folds(["a", "a"], 5, 0)
    with pytest.raises(InputError, match="patient 'b' is in training and in validation; split by patient"):
        check_disjoint(training=["a", "b"], validation=["b", "c"])


def test_standardised_features_have_mean_0_and_sd_1_and_gaps_are_said():
    values = np.random.default_rng(0).normal(50, 7, (200, 4))
    values[:20, 1], values[:, 2], values[:, 3] = np.nan, 3.3, np.nan
    fitted = Standardisation.fit(values)
    found = fitted.apply(values)
    assert found.shape == (200, 5), "one indicator: a feature that is always missing teaches nothing"
    assert found[:, 0].mean() == pytest.approx(0, abs=1e-9) and found[:, 0].std() == pytest.approx(1)
    assert (found[:, [2, 3]] == 0).all(), "neither what is constant nor what is never known"
    np.testing.assert_array_equal(found[:, 4], np.arange(200) < 20)
    median = (np.nanmedian(values[:, 1]) - np.nanmean(values[:, 1])) / np.nanstd(values[:, 1])
    np.testing.assert_allclose(found[:20, 1], median)
    far = fitted.apply(np.full((1, 4), 1e9))
    assert far[0, 0] == LIMIT and far[0, 2] == 0
    assert np.isfinite(fitted.apply(np.full((1, 4), np.inf))).all()


def test_statistics_of_tokens_are_those_of_all_of_them():
    tokens = np.random.default_rng(0).normal(2, 3, (10, 4, 5)).astype(np.float16)
    tokens[..., 2] = 1.5
    fitted = Standardisation.of_tokens(tokens)
    flat = tokens.astype(float).reshape(-1, 5)
    np.testing.assert_allclose(fitted.mean, flat.mean(axis=0))
    np.testing.assert_allclose(fitted.sd, flat.std(axis=0), atol=1e-12)
    assert fitted.sd[2] == 0 and not fitted.gaps.any()
