"""The stages of gestational age and the command beside them: one world, which takes a while to make."""

# The fixture is imported.
# ruff: noqa: F811

import logging
import shutil
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from pipeline import fit_age, measure_arm, measure_masks
from pipeline.config.age import GROUPS
from pipeline.data.tables import read_table
from pipeline.data.writer import write_dataset
from pipeline.features.feature_table import FeatureTable, load_features
from pipeline.run.errors import InputError
from pipeline.run.files import read_json
from pipeline.tasks.gestational_age.features import check_sizes
from pipeline.tasks.gestational_age.layout import SIZES, read_by, scales
from pipeline.tasks.segmentation.cross_fitted import CrossFitted
from pipeline.tools import estimate_age
from pipeline.tools.command import build_parser
from pipeline.tools.estimate_age import COLUMNS, in_weeks
from tests.tasks.gestational_age.age_world import HEAD, aged, estimates, unaged, unsized, world  # noqa: F401


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


@pytest.fixture
def images(world, tmp_path):
    """The test images of a cohort with pixel sizes, and a file that is none."""
    (tmp_path / "images").mkdir()
    for case in world.away["phantom_b"]:
        Image.fromarray(case.image).save(tmp_path / f"images/{case.id}.png")
    return tmp_path / "images"


def ages(world, images, tmp_path, *more, model="measured-12-0-real", out="out"):
    line = ["--model", world.root / f"models/{model}", "--networks", world.root / "networks", "--images", images]
    line += ["--out", tmp_path / out, "--threads", "1", *more]
    status = estimate_age.run(build_parser(estimate_age.add_arguments).parse_args(list(map(str, line))))
    return status, {row["file"]: row for row in read_table(tmp_path / out / "ages.csv")}


def sizes(world, tmp_path):
    table = tmp_path / "sizes.csv"
    rows = [f"{case.id}.png,{case.pixel_mm}" for case in world.away["phantom_b"]]
    table.write_text("\n".join(["file,pixel_mm", *rows]) + "\n")
    return "--pixel-sizes", table


def test_weeks_are_completed_ones():
    assert [in_weeks(days) for days in (0, 6.9, 7, 98.0, 171.4)] == ["0+0", "0+6", "1+0", "14+0", "24+3"]


@pytest.mark.parametrize("model", ["measured-12-0-real", "fusion-12-0-warped"])
def test_an_age_is_the_one_that_the_stage_estimates(world, images, tmp_path, model):
    status, rows = ages(world, images, tmp_path, *sizes(world, tmp_path), model=model)
    assert status == 0 and list(next(iter(rows.values()))) == list(COLUMNS)
    found = estimates(world, model)
    for case in world.away["phantom_b"]:
        row = rows[f"{case.id}.png"]
        days = float(found["phantom_b", case.id, 1.0])
        assert float(row["age_days"]) == pytest.approx(days, abs=0.06) and row["age_weeks"] == in_weeks(days)
        assert float(row["low_days"]) < days < float(row["high_days"])
        assert "an age implied by HC is a formula of the head circumference and no gestational age" in row["what"]
        overlay = np.asarray(Image.open(tmp_path / f"out/overlays/{case.id}.png"))
        assert overlay.shape == (*case.image.shape, 3)


def test_what_cannot_be_estimated_has_its_reason(world, images, tmp_path, caplog):
    (images / "broken.png").write_bytes(b"no picture")
    with caplog.at_level(logging.WARNING):
        status, rows = ages(world, images, tmp_path)
    assert status == 1 and "not a readable image" in rows["broken.png"]["error"]
    for case in world.away["phantom_b"]:
        row = rows[f"{case.id}.png"]
        assert (
            row["error"] == "this model needs the pixel size; give --pixel-mm or --pixel-sizes"
            and row["age_days"] == ""
        )
    # A model without it is asked all the same.
    (images / "broken.png").unlink()
    assert ages(world, images, tmp_path, model="kernel_ridge-12-0-real", out="other")[0] == 0
    # A head of 40 mm lies beyond every formula.
    row = next(iter(ages(world, images, tmp_path, "--pixel-mm", "0.25", out="small")[1].values()))
    assert "beyond the ages that this is known for (98 to 294 days): extrapolated" in row["warning"]


def test_a_wrong_folder_is_named(world, images, tmp_path):
    with pytest.raises(InputError, match=r"--encoder-weights is for encoders of timm"):
        ages(world, images, tmp_path, "--encoder-weights", tmp_path / "w.pth")
    with pytest.raises(InputError, match=r"folds\.json: no such file"):
        ages(world, images, tmp_path, "--networks", tmp_path)
    shutil.copytree(world.root / "models/constant-12-0-real", tmp_path / "lacking")
    (tmp_path / "lacking/features.json").unlink()
    with pytest.raises(InputError, match=r"features\.json: no such file"):
        ages(world, images, tmp_path, "--model", tmp_path / "lacking")
    assert not (tmp_path / "out").exists()
