"""Estimators without a network: against scikit-learn and closed forms, leak-free, and kept without pickling."""

from dataclasses import replace

import numpy as np
import pytest

from pipeline.run.errors import InputError
from pipeline.tasks.gestational_age import classical
from pipeline.tasks.gestational_age.classical import (
    CONSTANT,
    ESTIMATORS,
    fit_classical,
    load_classical,
    save_classical,
)
from pipeline.tasks.gestational_age.regressors import BOOSTING, REGRESSORS
from tests.tasks.gestational_age.made import NAMES, made


@pytest.fixture
def few_trees(monkeypatch):
    monkeypatch.setitem(BOOSTING, "n_estimators", 30)


def mae(estimator, cases):
    inputs, days = cases
    return np.abs(estimator.estimate(inputs) - days).mean()


def test_what_knows_more_errs_less():
    train, held = made(150), made(100, seed=1)
    errors = {name: mae(fit_classical(name, *train, seed=0), held) for name in (CONSTANT, *ESTIMATORS)}
    assert errors[CONSTANT] == pytest.approx(np.abs(held[1] - np.median(train[1])).mean())
    assert errors["hc_px"] == pytest.approx(errors[CONSTANT], rel=0.1), "here it says nothing"
    assert errors["pixel_size"] < 0.5 * errors[CONSTANT]
    assert max(errors["ridge"], errors["kernel_ridge"]) < 0.5 * errors[CONSTANT]
    assert errors["ridge"] == pytest.approx(10 * np.sqrt(2 / np.pi), rel=0.2), "all but what the tokens alone know"
    assert errors["boosting"] < 0.6 * errors[CONSTANT]


@pytest.mark.parametrize("kind", REGRESSORS)
def test_arrays_say_what_scikit_learn_says(kind, few_trees):
    rng = np.random.default_rng(0)
    x, y, new = rng.normal(size=(80, 6)), rng.normal(170, 30, 80), rng.normal(size=(40, 6))
    setting = REGRESSORS[kind].settings(6)[-1]
    arrays = REGRESSORS[kind].fit(x, y, 3, **setting)
    found = REGRESSORS[kind].predict(arrays, new)
    if kind == "ridge":
        from sklearn.linear_model import Ridge

        known = Ridge(alpha=setting["alpha"]).fit(x, y).predict(new)
    elif kind == "kernel_ridge":
        from sklearn.kernel_ridge import KernelRidge

        model = KernelRidge(kernel="rbf", alpha=setting["alpha"], gamma=setting["gamma"])
        known = model.fit(x, y - y.mean()).predict(new) + y.mean()
    else:
        from sklearn.ensemble import GradientBoostingRegressor

        known = GradientBoostingRegressor(random_state=3, **BOOSTING).fit(x, y).predict(new)
    np.testing.assert_allclose(found, known, rtol=1e-9)


@pytest.mark.parametrize("name", (CONSTANT, *ESTIMATORS))
def test_files_give_the_estimator_back_and_repeat(tmp_path, name, few_trees):
    train, (held, _) = made(40), made(20, seed=1)
    for folder in "ab":
        save_classical(tmp_path / folder, fit_classical(name, *train, seed=0), {"cases": list(train[0].ids)})
    for file in ("age_estimator.safetensors", "age_estimator.json"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()
    found, about = load_classical(tmp_path / "a")
    assert about["trained_on"]["cases"] == list(train[0].ids)
    np.testing.assert_array_equal(found.estimate(held), fit_classical(name, *train, seed=0).estimate(held))


def test_settings_are_chosen_between_patients(monkeypatch):
    """In inner folds no patient is on both sides, and the statistics of a fold are of its training side alone."""
    (inputs, days), seen, judged = made(60, cases_each=3), [], []
    standardise = classical.Standardisation.fit

    def remembered(values):
        seen.append({tuple(row) for row in values})
        return standardise(values)

    def predicted(arrays, x):
        judged.append(len(seen))
        return np.zeros(len(x))

    monkeypatch.setattr(classical.Standardisation, "fit", staticmethod(remembered))
    spied = replace(REGRESSORS["ridge"], predict=predicted)
    monkeypatch.setitem(classical.REGRESSORS, "ridge", spied)
    fit_classical("ridge", inputs, days, seed=0)
    patient_of = {tuple(row): patient for row, patient in zip(inputs.radiomics, inputs.patients, strict=True)}
    assert judged == sorted([1, 2, 3, 4, 5] * len(spied.settings(5))) and len(seen) == 6
    for rows in seen[:-1]:
        patients = {patient_of[row] for row in rows}
        assert len(rows) == 3 * len(patients) == 48, "patients with all their cases"
    assert len(seen[-1]) == 60


def test_held_out_ages_do_not_matter():
    train, (held, _) = made(60), made(10, seed=1)
    estimator = fit_classical("kernel_ridge", *train, seed=0)
    alone = [estimator.estimate(held.rows([number]))[0] for number in range(len(held))]
    np.testing.assert_allclose(estimator.estimate(held), alone, rtol=1e-12)


def test_of_a_case_of_which_nothing_is_known_the_median_is_said():
    inputs, days = made(40)
    unknown = replace(inputs, pixel_mm=np.where(np.arange(40) < 4, np.nan, inputs.pixel_mm))
    estimator = fit_classical("pixel_size", unknown, days, seed=0)
    assert (estimator.estimate(unknown)[:4] == np.median(days)).all()
    assert estimator.known(unknown).sum() == 36 and fit_classical(CONSTANT, inputs, days, seed=0).known(unknown).all()


def test_columns_can_be_chosen():
    train, held = made(100), made(100, seed=1)
    with_area, without = (
        mae(fit_classical("kernel_ridge", *train, seed=0, names=names), held) for names in (NAMES[2:3], NAMES[:2])
    )
    assert with_area < 0.5 * without
    assert fit_classical("ridge", *train, seed=0, names=NAMES[:2]).names == NAMES[:2]


def test_a_kernel_far_from_all_cases_says_their_mean():
    rng = np.random.default_rng(0)
    x, y, kernel = rng.normal(size=(40, 2)), rng.normal(170, 30, 40), REGRESSORS["kernel_ridge"]
    arrays = kernel.fit(x, y, 0, alpha=0.1, gamma=0.5)
    np.testing.assert_allclose(kernel.predict(arrays, np.full((1, 2), 30.0)), y.mean())


def test_bad_input_is_named(tmp_path):
    inputs, days = made(10)
    with pytest.raises(InputError, match="no estimator 'forest'; choose one of constant, pixel_size"):
        fit_classical("forest", inputs, days, seed=0)
    with pytest.raises(InputError, match="fitted on cases whose age is known"):
        fit_classical(CONSTANT, inputs, days * np.nan, seed=0)
    with pytest.raises(InputError, match="estimator 'pixel_size': pixel_mm is known of no training case"):
        fit_classical("pixel_size", replace(inputs, pixel_mm=np.full(10, np.nan)), days, seed=0)
    with pytest.raises(InputError, match="'deep_ridge' reads deep features and these cases have none"):
        fit_classical("deep_ridge", replace(inputs, tokens=None), days, seed=0)
    with pytest.raises(InputError, match=r"1 patient\(s\) cannot be split"):
        fit_classical("ridge", replace(inputs, patients=("one",) * 10), days, seed=0)
    with pytest.raises(InputError, match=r"age_estimator\.json: no such file"):
        load_classical(tmp_path)
    save_classical(tmp_path, fit_classical("ridge", inputs, days, seed=0), {})
    path = tmp_path / "age_estimator.json"
    path.write_text(path.read_text().replace('"ridge"', '"forest"'))
    with pytest.raises(InputError, match=r"no estimator 'forest' in this version"):
        load_classical(tmp_path)
