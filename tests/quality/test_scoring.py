"""The stage `score` on a few rings: it refuses datasets of other structures than the evaluation network's, by name."""

from dataclasses import replace

import pytest
import torch

from pipeline import score
from pipeline.config.params import View
from pipeline.data.structures import Structure
from pipeline.data.writer import write_dataset
from pipeline.networks.small_unet import build_unet, save_unet
from pipeline.quality.measures import CATALOGUE, find, read_measures
from pipeline.run import files
from pipeline.run.errors import InputError
from pipeline.run.stage import execute

STRUCTURES = (Structure("head", "head"),)
TWO = (Structure("symphysis"), Structure("head", "head"))


@pytest.fixture(scope="module")
def world(tmp_path_factory, smoke_config, ring):
    root = tmp_path_factory.mktemp("score")
    settings = smoke_config.evaluation_network
    torch.manual_seed(0)
    save_unet(root / "network", "evaluation_network", build_unet(settings.channels, 1), settings, STRUCTURES, {})
    real = [ring(i) for i in range(12)] + [ring(i, split="val" if i % 2 else "test") for i in range(12, 22)]
    write_dataset(root / "train", real, role="train", structures=STRUCTURES)
    write_dataset(root / "unlabelled", [], role="unlabelled", structures=STRUCTURES)
    away = [ring(40 + i) for i in range(9)]
    write_dataset(root / "foreign", away, role="foreign", structures=STRUCTURES)
    write_dataset(root / "foreign_two", away, role="foreign", structures=TWO)
    bare = [replace(case, mask=None, mask_source=None) for case in away]
    write_dataset(root / "foreign_images", bare, role="foreign", structures=TWO)
    index = {"role": "synthetic", "labels": [case.id for case in real[:4]]}
    index["provenance"] = {"cohort": "rings", "replicate": 0, "unlabelled": 0}
    for name, structures, count in (
        ("synthetic", STRUCTURES, 10),
        ("variety", STRUCTURES, 4),
        ("synthetic_two", TWO, 10),
    ):
        made = [
            replace(ring(60 + i), id=f"s-{i}", patient="patient-000", mask_source="parent", parent="case-000")
            for i in range(count)
        ]
        write_dataset(root / name, made, structures=structures, **index)
    return root, smoke_config


def scored(world, **given):
    root, config = world
    names = ("synthetic", "variety", "train", "unlabelled", "foreign")
    paths = {name: root / given.get(name, name) for name in names} | {"evaluation_network": root / "network"}
    outputs = {"out": root / "quality.json", "samples": root / "samples.csv"}
    execute(score.run, View(config, score.PARAMS), paths | outputs)
    return files.read_json(outputs["out"], "")


@pytest.mark.parametrize("given", [{"synthetic": "synthetic_two"}, {"foreign": "foreign_two"}])
def test_other_classes_are_refused_by_name(world, given, monkeypatch):
    monkeypatch.chdir(world[0])
    (name,) = given.values()
    with pytest.raises(InputError, match=rf"{name}: its structures are symphysis, head .*the evaluation network"):
        scored(world, **given)


def test_foreign_images_without_masks_may_have_any_classes(world, monkeypatch):
    monkeypatch.chdir(world[0])
    found = scored(world, foreign="foreign_images")
    assert found["set"] == {
        "n": 10, "labels": 4, "unlabelled": 0, "cohort": "rings", "foreign": "foreign_images", "replicate": 0,
        "image_size": 64,
    }  # fmt: skip
    (domain, lite0, few) = found["cautions"]
    assert "FID in domain features is that of 9 images in 32 dimensions" in domain and "Sets of 9 images" in few
    assert "FID in ImageNet (EfficientNet-Lite0) features is that of 9 images in 1280 dimensions" in lite0
    names = [one.name for one in read_measures(world[0] / "quality.json", "")]
    angles = {name for name in CATALOGUE if name.startswith("aop_")}
    assert set(names) == set(CATALOGUE) - {"diversity", "tstr", "trts"} - angles
    # The set is made after one patient: nobody can be held out.
    (told,) = find(read_measures(world[0] / "quality.json", ""), "two_sample")
    assert told.value is None and told.view == "lite0" and 0 <= told.best <= 1


def test_without_lite0_there_is_no_two_sample_test(world, monkeypatch):
    monkeypatch.chdir(world[0])
    score_settings = world[1].score
    plain = score_settings.extractors.model_copy(update={"lite0": False})
    config = world[1].model_copy(update={"score": score_settings.model_copy(update={"extractors": plain})})
    scored((world[0], config))
    found = read_measures(world[0] / "quality.json", "")
    assert {one.view for one in find(found, "kid")} == {"domain"}
    assert not find(found, "two_sample") and not find(found, "two_sample_reference")
