"""Gestational age in the comparison: errors, agreement, the zoom test, and the part of the report."""

import re
from dataclasses import replace
from itertools import product
from types import SimpleNamespace

import numpy as np
import pytest
import yaml

from pipeline.comparison.age_estimates import AgeEstimates, load_ages
from pipeline.comparison.report.ages import Fit
from pipeline.comparison.statistics.age_comparison import compare_ages, size_slope, slopes
from pipeline.data.ages import FORMULAS
from pipeline.data.tables import write_table
from pipeline.run.cells import cell_name
from pipeline.run.errors import InputError
from pipeline.run.files import read_json, write_json
from pipeline.tasks.gestational_age.scores import COLUMNS, WORST_ERROR_DAYS
from tests.comparison.world import World, case
from tests.self_contained import Loads, text_of

NAN = np.nan
FORMULA = FORMULAS["intergrowth21"]
SCALES = (1.0, 0.8, 1.25)


def cases_of(days, patients=None):
    made = [case("a", i, "test") for i in range(len(days))]
    names = patients or [one.patient for one in made]
    return [
        replace(one, ga_days=float(age), ga_source="simulated", patient=name)
        for one, age, name in zip(made, days, names, strict=True)
    ]


def ages(days, estimated, low=None, high=None, scales=(1.0,)):
    """Of float (S, R, C) or (R, C) estimates."""
    estimated = np.asarray(estimated, float)
    estimated = estimated if estimated.ndim == 3 else estimated[None]
    unknown = np.full(estimated[0].shape, NAN)
    limits = (unknown if one is None else np.broadcast_to(one, unknown.shape) for one in (low, high))
    return AgeEstimates(cases_of(days), np.asarray(days, float), scales, estimated, *limits)


def test_the_slope_is_exact_where_age_is_linear_in_the_logarithm_of_the_scale():
    steps = np.log(SCALES)[:, None, None]
    estimated = 150 + steps * np.array([[30.0, 0.0, -12.0]])
    assert slopes(SCALES, estimated) == pytest.approx(np.array([[30.0, 0.0, -12.0]]))
    estimated[1, 0, 0] = NAN
    assert slopes(SCALES, estimated)[0, 0] == pytest.approx(30), "over the scales at which there is an estimate"
    estimated[2, 0, 0] = NAN
    assert np.isnan(slopes(SCALES, estimated)[0, 0]), "one scale has no slope"


def test_the_slope_of_a_reader_of_size_is_the_derivative_of_the_formula():
    around = np.array([120.0, 250.0])
    days = FORMULA.days(around)
    analytic = days * (2 * 0.05970 * np.log(around) + 3 * 6.409e-9 * around**3)
    assert size_slope(days, FORMULA) == pytest.approx(analytic.mean(), rel=1e-5)


def compared(table, replicates=5):
    return compare_ages(table, "real", FORMULA, 100, 0)


def test_a_missing_estimate_counts_with_the_worst_error_and_covers_nothing():
    days = [90.0, 97.9, 98.0, 150, 196, 250]
    shift = np.array([4.0, 4, 4, 4, 4, NAN])
    found = compared({("a", "m", 10, "real"): ages(days, [np.add(days, shift)] * 2, np.add(days, -1), np.add(days, 3))})
    (one,) = found.results
    assert one.error.mean == pytest.approx((5 * 4 + WORST_ERROR_DAYS) / 6) == one.summary.mae.value
    assert one.summary.missing.part == 2 and one.summary.agreement.bias == 4
    assert (one.summary.covered.part, one.summary.covered.whole) == (10, 12)
    assert one.sources == {"true, of a simulated pregnancy": 6}
    assert one.slope.value is None, "one scale"


def test_an_interval_without_limits_holds_every_age():
    (one,) = compared({("a", "m", 10, "real"): ages([100.0, 200], [[150.0, 150]])}).results
    assert one.summary.covered.value == 1 and one.summary.width.known == 0


def test_a_smaller_error_is_better_and_models_are_paired():
    days = np.linspace(100, 250, 12)
    draws = np.random.default_rng(0).normal(0, 0.2, (5, 12))
    errors = {("m", "real"): 9, ("m", "more"): 6, ("n", "real"): 2, ("n", "more"): 2}
    found = compared({("a", model, 10, arm): ages(days, days + own + draws) for (model, arm), own in errors.items()})
    by_arm = {(one.model, one.arm): one for one in found.results}
    helped = by_arm["m", "more"]
    assert helped.difference.mean == pytest.approx(-3) and helped.verdict.word == "helps"
    assert by_arm["n", "more"].difference.mean == 0 and by_arm["n", "more"].verdict.word == "not shown"
    assert by_arm["m", "real"].difference is None
    (pair,) = found.pairs["a", 10]
    assert (pair.first, pair.second) == ("n", "m") and pair.difference.mean == pytest.approx(-7)
    assert pair.verdict.text == "better"


def test_nothing_asked_is_nothing_compared():
    assert compared({}) is None


GRID = SimpleNamespace(labels=(4,), replicates=(0, 1))
AGE = SimpleNamespace(models=("constant", "fusion"), arms=("real",), zooms=(0.8, 1.25))


def estimates(folder, cases, days=lambda case, model, scale: case.ga_days, cohort="a", **others):
    grid, age = others.get("grid", GRID), others.get("age", AGE)
    for model, labels, replicate, arm in product(age.models, grid.labels, grid.replicates, age.arms):
        rows = [
            dict(zip(COLUMNS, (cohort, one.id, scale, days(one, model, scale), None, None), strict=True))
            for scale in (1.0, *age.zooms) for one in cases
        ]  # fmt: skip
        write_table(folder / f"{cell_name(model, labels, replicate, arm)}.csv", rows)


def test_a_table_is_read_by_cell_and_case_and_cohorts_without_ages_have_no_part(tmp_path):
    cases = cases_of([100, 200])
    without = [case("b", 0, "test")]
    estimates(tmp_path, cases, lambda one, model, scale: None if model == "constant" else one.ga_days * scale)
    found = load_ages(tmp_path, GRID, AGE, {"a": cases, "b": without})
    assert list(found) == [("a", "constant", 4, "real"), ("a", "fusion", 4, "real")]
    one = found["a", "fusion", 4, "real"]
    assert one.estimated.tolist() == [[[100, 200]] * 2, [[80, 160]] * 2, [[125, 250]] * 2] and one.scales == (
        1,
        0.8,
        1.25,
    )
    assert np.isnan(found["a", "constant", 4, "real"].estimated).all()
    with pytest.raises(InputError, match="no row of case 'a-2' of 'a' at scale 1; run `dvc repro predict_age`"):
        load_ages(tmp_path, GRID, AGE, {"a": cases_of([100, 200, 150])})
    (tmp_path / "fusion-4-1-real.csv").unlink()
    with pytest.raises(InputError, match="fusion-4-1-real.csv: no such file"):
        load_ages(tmp_path, GRID, AGE, {"a": cases})


def test_importances_are_means_over_replicates_the_largest_first():
    records = tuple({"importance": [{"group": "a", "increase_days": one}, {"group": "b", "increase_days": 3.0}]}
                    for one in (2.0, 6.0))  # fmt: skip
    assert Fit("m", 4, "real", records).importance == {"a": 4, "b": 3}


def aged_case(cohort, i, split):
    return replace(case(cohort, i, split), ga_days=90.0 + 12 * i, ga_source="given")


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """A report of two models and arms, five replicates."""
    root = tmp_path_factory.mktemp("ages")
    arms = {"real": {"extra": "none"}, "warped": {"extra": "warped", "ratio": 2}}
    world = World(root, replicates=range(5), arms=arms, make_case=aged_case).build()
    config = yaml.safe_load((root / "params.yaml").read_text())
    config["age"] |= {
        "models": ["constant", "fusion"],
        "arms": ["real", "warped"],
        "segmenter": "unet",
        "zooms": [0.8, 1.25],
    }
    network = {"kind": "network", "variant": "deep", "width": 8, "heads": 2, "hidden": 8, "dropout": 0.0,
               "heteroscedastic": False, "steps": 5, "batch": 2, "learning_rate": 0.01, "weight_decay": 0.0,
               "warmup_steps": 1}  # fmt: skip
    config["age_models"] = {"constant": {"kind": "constant"}, "fusion": network}
    roles = {name: {"role": one["role"]} for name, one in config["cohorts"].items() if one["role"] != "foreign"}
    config["kinds"] |= {"age_segmenters": ["unet"], "age_cohorts": roles, "unet_bases": ["unet"]}
    (root / "params.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    params = world.params()
    cases = {"phantom_b": [aged_case("b", i, "test") for i in range(7)],
             "phantom_a": [aged_case("a", i, "test") for i in range(8, 14)]}  # fmt: skip
    for model, labels, replicate, arm in params.age.cells(params.grid):
        rows = []
        for (cohort, own), scale in product(cases.items(), (1.0, 0.8, 1.25)):
            for one in own:
                days = (
                    150
                    if model == "constant"
                    else one.ga_days + 5 - 2 * (arm == "warped") + replicate + 40 * np.log(scale)
                )
                rows.append(
                    {"cohort": cohort, "case": one.id, "scale": scale, "days": days, "low": days - 9, "high": days + 9}
                )
        cell = cell_name(model, labels, replicate, arm)
        write_table(root / "ages/estimates" / f"{cell}.csv", rows)
        task, extra = "baseline" if model == "constant" else "image_only", 8 * (arm == "warped")
        about = {"task": task, "labels": 4, "extra": extra,
                 "val_labels": 3, "val_mae_days": 4.0, "interval_factor": 9.0,
                 "importance": [] if model == "constant" else [{"group": "deep", "increase_days": 6.5}]}  # fmt: skip
        write_json(root / "ages/fits" / f"{cell}.json", about)
    stale = root / "ages/estimates/gone-4-0-real.csv"
    stale.write_text("")
    html = world.run()
    assert not stale.exists(), "a cell that left the grid"
    return root, html


def test_the_report_has_a_part_on_age(page):
    _, html = page
    text = text_of(re.search(r'<section id="ages">.*?</section>', html, re.DOTALL)[0])
    assert "Ages of the 7 cases: 7 given with the cohort." in text and "no gestational age" not in text
    assert re.search(r"fusion image only 4 real 7\.0 ", text), "5 days and the mean of 0 to 4"
    assert re.search(r"first n 1 |first .*second .*third", text)
    assert "+40.0" in text and "Do extra cases help here too?" in text
    assert re.search(r"fusion 4 warped 8 −2\.0 ", text)
    assert "What each model goes by" in text and "deep" in text and "+6.5" in text
    assert html.count("Agreement of estimated and true age, cohort") == 2
    parser = Loads()
    parser.feed(html)
    assert parser.fetched == [] and parser.mute == []


def test_metrics_have_the_errors(page):
    tree = read_json(page[0] / "out/metrics.json", "")["age"]
    found = tree["phantom_b"]["fusion"]["n4"]
    assert (found["real"]["error_days"], found["warped"]["error_days"]) == (pytest.approx(7), pytest.approx(5))
    assert found["real"]["zoom_slope_days"] == pytest.approx(40, rel=1e-3) and found["real"]["missing"] == 0
