"""The stages of gestational age, one after another in one process, on rings whose age is implied by their size."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import yaml

from pipeline import (
    assemble_labels,
    base_unet,
    cross_fit,
    extract_features,
    fit_age,
    measure_arm,
    measure_masks,
    predict_age,
)
from pipeline.config.age import GROUPS
from pipeline.config.params import View, load_params
from pipeline.data.ages import FORMULAS, implied_age
from pipeline.data.structures import Structure
from pipeline.data.tables import read_table
from pipeline.data.writer import write_dataset
from pipeline.features.feature_table import FeatureTable, load_features
from pipeline.run.errors import InputError
from pipeline.run.files import read_json
from pipeline.run.stage import execute
from pipeline.tasks.gestational_age.features import check_sizes
from pipeline.tasks.gestational_age.layout import SIZES, read_by, scales
from pipeline.tasks.segmentation.biometry.circumference import head_circumference_px
from pipeline.tasks.segmentation.cross_fitted import CrossFitted
from pipeline.tools.preset import compose

ROOT = Path(__file__).parents[3]
HEAD = (Structure("head", "head"),)
FORMULA = FORMULAS["intergrowth21"]
SPLITS = ("train",) * 12 + ("val",) * 10 + ("test",) * 4


def aged(ring, i, split, **fields):
    case = ring(i, height=64, width=80, split=split, cohort="rings", **fields)
    pixel = 1.2 + 0.05 * (i % 7)
    around = head_circumference_px(case.mask > 0) * pixel
    days, source = implied_age(around, FORMULA)
    return replace(case, pixel_mm=pixel, hc_mm=around, ga_days=days, ga_source=source)


def unaged(case):
    return replace(case, hc_mm=None, ga_days=None, ga_source=None)


def unsized(case):
    return replace(unaged(case), pixel_mm=None)


@pytest.fixture(scope="module")
def world(tmp_path_factory, ring):
    """Every stage run with the preset `age_smoke` on three cohorts of rings; what is asked of it by name."""
    root = tmp_path_factory.mktemp("age")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        (root / "params.yaml").write_text(compose(ROOT / "presets", "age_smoke"))
        # Many exchanges take long and show no more.
        patch.setattr("pipeline.tasks.gestational_age.fitting.REPEATS", 2)
        params = yaml.safe_load((root / "params.yaml").read_text())
        params["age"]["models"].append("pixel_size")
        params["age_models"]["pixel_size"] = {"kind": "pixel_size"}
        params["segmenters"]["unet"]["steps"] = 40
        (root / "params.yaml").write_text(yaml.safe_dump(params))
        config = load_params(root / "params.yaml")
        train = [aged(ring, i, split) for i, split in enumerate(SPLITS)]
        write_dataset(root / "train/phantom_a", train, role="train", structures=HEAD)
        away = {name: [aged(ring, 50 + i, "test") for i in range(2)] for name in ("phantom_b", "phantom_c")}
        # Of one cohort no pixel size and no age is known.
        away["phantom_c"] = [unsized(case) for case in away["phantom_c"]]
        for name, cases in away.items():
            write_dataset(root / "held_out" / name, cases, role="held_out", structures=HEAD)

        def run(stage, **arguments):
            execute(stage.run, View(config, stage.PARAMS), arguments)

        where = {"train": root / "train/phantom_a", "held_out": root / "held_out"}
        cell, base = {"labels": 12, "replicate": 0}, root / "base/unet"
        run(base_unet, segmenter="unet", out=base)
        run(cross_fit, segmenter="unet", base=base, train=where["train"], **cell, out=root / "networks")
        run(measure_masks, networks=root / "networks", base=base, **where, out=root / "measured")
        for path in (where["train"], *(where["held_out"] / name for name in away)):
            run(extract_features, cohort=path, out=root / "features" / path.name)
        for arm in ("real", "warped"):
            run(assemble_labels, train=where["train"], **cell, arm=arm, out=root / f"arms/{arm}")
            run(measure_arm, extra=root / f"arms/{arm}", out=root / f"of_arms/{arm}")
            for model in config.age.models:
                name = f"{model}-12-0-{arm}"
                run(
                    fit_age, model=model, train=where["train"], features=root / "features/phantom_a",
                    measured=root / "measured", extra=root / f"of_arms/{arm}", **cell, arm=arm,
                    out=root / f"models/{name}", metrics=root / f"fits/{name}.json",
                )  # fmt: skip
                run(
                    predict_age, model=root / f"models/{name}", features=root / "features", measured=root / "measured",
                    test=where["train"], held_out=where["held_out"], out=root / f"estimates/{name}.csv",
                )  # fmt: skip
        yield SimpleNamespace(root=root, run=run, train=train, away=away, where=where, cell=cell, base=base)


def estimates(world, name):
    """(cohort, case, scale) → days as written, of one model and arm."""
    rows = read_table(world.root / f"estimates/{name}.csv")
    return {(row["cohort"], row["case"], float(row["scale"])): row["days"] for row in rows}


def test_a_label_is_measured_by_the_network_that_has_not_seen_her_patient(world):
    about = read_json(world.root / "networks/folds.json", "")
    labels = [case for case in world.train if case.split == "train"]
    assert about["labels"] and set(about["labels"]) == {case.id for case in labels} and about["folds"] == 2
    for fold in range(2):
        seen = read_json(world.root / f"networks/fold-{fold}/segmenter.json", "")["trained_on"]["labels"]
        patients = {case.patient for case in labels if case.id in seen}
        assert patients == {name for name, own in about["fold_of_patient"].items() if own != fold}
    fitted = CrossFitted(world.root / "networks", "cpu")
    case = labels[0]
    own = fitted.fold_of[case.patient]
    alone = fitted.mask(case)
    fitted.networks[1 - own] = None
    np.testing.assert_array_equal(fitted.mask(case), alone)
    # Of anyone else all networks are asked.
    with pytest.raises(TypeError):
        fitted.mask(world.away["phantom_b"][0])


def test_features_are_of_labels_val_and_test_and_of_test_images_at_other_scales_too(world):
    for name, _, splits in scales((0.9, 1.1)):
        masks = load_features(world.root / f"measured/phantom_a/{name}/masks.parquet")
        images = load_features(world.root / f"features/phantom_a/{name}/images.parquet")
        assert set(masks.ids) == set(images.ids) == {case.id for case in world.train if case.split in splits}
    sizes = masks.values[:, [masks.names.index(one) for one in ("pixel_mm", "hc_px")]]
    assert np.isfinite(sizes).all()
    every = {group: read_by([group], (*masks.names, *images.names)) for group in GROUPS}
    listed = [name for names in every.values() for name in names]
    assert all(every.values()) and len(set(listed)) == len(listed), "no feature is in two groups"
    assert all(name.startswith("mask.shape.") for name in every["shape"])
    assert not any("first_order" in name or "shape" in name for name in every["overflow"])


def test_what_is_measured_is_near_the_truth_and_scales_with_the_image(world):
    found = estimates(world, "measured-12-0-real")
    for case in (one for one in world.train if one.split == "test"):
        days = [float(found["phantom_a", case.id, scale]) for scale in (0.9, 1.0, 1.1)]
        assert days[1] == pytest.approx(case.ga_days, abs=15) and days[0] < days[1] < days[2]
    # Without a pixel size nothing is measured, and what reads none is asked all the same.
    for case in world.away["phantom_c"]:
        assert found["phantom_c", case.id, 1.0] == ""
        assert estimates(world, "kernel_ridge-12-0-real")["phantom_c", case.id, 1.0] != ""


def test_the_median_and_the_pixel_size_do_not_move_with_the_zoom(world):
    for name in ("constant", "pixel_size"):
        found = estimates(world, f"{name}-12-0-real")
        for case in (one for one in world.train if one.split == "test"):
            assert len({found["phantom_a", case.id, scale] for scale in (0.9, 1.0, 1.1)}) == 1
    median = np.median([case.ga_days for case in world.train if case.split == "train"])
    (days,) = {float(one) for one in estimates(world, "constant-12-0-real").values()}
    assert days == pytest.approx(median, rel=1e-4)


def test_a_fit_says_what_it_has_seen(world):
    told = read_json(world.root / "fits/fusion-12-0-warped.json", "")
    assert (told["labels"], told["extra"], told["val_labels"], told["val_missing"]) == (12, 12, 10, 0)
    assert told["ages"] == {"implied by HC (intergrowth21)": 12} or sum(told["ages"].values()) == 12
    assert told["interval_factor"] > 0 and told["task"] == "no_pixel_size"
    groups = {one["group"] for one in told["importance"]}
    assert "deep" in groups and all(group == "deep" or group.startswith("mask.") for group in groups)
    assert read_json(world.root / "fits/fusion-12-0-real.json", "")["extra"] == 0
    assert read_json(world.root / "fits/constant-12-0-real.json", "")["importance"] == []


def test_extra_cases_change_what_is_fitted_and_nothing_else(world):
    for name, same in (("measured", True), ("kernel_ridge", False)):
        real, warped = (estimates(world, f"{name}-12-0-{arm}") for arm in ("real", "warped"))
        assert real.keys() == warped.keys()
        assert (all(real[key] == warped[key] for key in real)) == same


def test_no_answer_reaches_a_prediction(world, tmp_path):
    """Test cases with other masks and ages are estimated alike: neither is read."""
    changed = [case for case in world.train if case.split != "test"]
    changed += [replace(unaged(one), mask=np.roll(one.mask, 5, 1)) for one in world.train if one.split == "test"]
    write_dataset(tmp_path / "phantom_a", changed, role="train", structures=HEAD)
    where = world.where | {"train": tmp_path / "phantom_a"}
    world.run(measure_masks, networks=world.root / "networks", base=world.base, **where, out=tmp_path / "measured")
    for name in ("x1", "x0.9"):
        path = f"phantom_a/{name}/masks.parquet"
        assert (tmp_path / "measured" / path).read_bytes() == (world.root / "measured" / path).read_bytes()


def test_bad_input_is_named(world, tmp_path, ring):
    unknown = [aged(ring, 70, "train"), unsized(aged(ring, 71, "train"))]
    write_dataset(tmp_path / "unsized", unknown, role="train", structures=HEAD)
    with pytest.raises(InputError, match="arm 'unsized', case 'case-071': its pixel size is not known"):
        world.run(measure_arm, extra=tmp_path / "unsized", out=tmp_path / "out")
    headless = FeatureTable(("a", "b"), ("p", "q"), SIZES, np.array([[0.1, 700], [0.1, np.nan]]))
    with pytest.raises(InputError, match="arm 'some', case 'b': its mask has no head"):
        check_sizes("some", headless)
    write_dataset(tmp_path / "phantom_a", [unaged(case) for case in world.train], role="train", structures=HEAD)
    inputs = {"features": "features/phantom_a", "measured": "measured", "extra": "of_arms/real"}
    arguments = {name: world.root / path for name, path in inputs.items()}
    arguments |= {**world.cell, "arm": "real", "metrics": tmp_path / "m.json"}
    with pytest.raises(InputError, match="no age is known of the 12 cases of phantom_a; give ga_days, or circumf"):
        world.run(fit_age, model="constant", train=tmp_path / "phantom_a", out=tmp_path / "out", **arguments)
    with pytest.raises(InputError, match="no model 'fuson' under age_models; there are constant, fusion, "):
        world.run(fit_age, model="fuson", train=world.where["train"], out=tmp_path / "out", **arguments)
    assert not (tmp_path / "out").exists()
