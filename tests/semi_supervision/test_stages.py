"""The stages of arms with unlabelled images: what they open, and what they write down."""

import copy
import json
from pathlib import Path

import pytest
import yaml

from benchmarks import unlabelled_methods
from pipeline import base_sam, base_unet, finetune_pseudo, finetune_semi, finetune_unet, unlabelled
from pipeline.config.params import View, load_params
from pipeline.data import dataset
from pipeline.data.labels import label_ids
from pipeline.data.structures import Structure
from pipeline.data.writer import write_dataset
from pipeline.run.errors import InputError
from pipeline.run.stage import execute
from pipeline.tasks.segmentation.unlabelled_training import Others, finetune_with_others
from pipeline.tools.preset import compose
from tests.interrupted import copied

ROOT = Path(__file__).parents[2]
TOGETHER = {"steps": 4, "batch": 4, "warmup_steps": 1}
"""Of the SAM, as of the U-Net it is trained with."""
STRUCTURES = (Structure("head", "head"),)
ARMS = {
    "pair": {"extra": "none", "unlabelled": {"method": "cross_pseudo", "networks": ["sam", "unet"]}},
    "twins": {"extra": "none", "unlabelled": {"method": "cross_pseudo", "networks": ["unet", "unet"],
                                              "partner_seed": 1}},
    "namesakes": {"extra": "none", "unlabelled": {"method": "cross_pseudo", "networks": ["unet", "unet_again"]}},
    "teacher": {"extra": "none", "unlabelled": "mean_teacher"},
    "uni": {"extra": "none", "unlabelled": {"method": "unimatch", "confidence": 0.5}},
    "pseudo": {"extra": "none", "unlabelled": "pseudo"},
}  # fmt: skip


@pytest.fixture
def world(tmp_path, monkeypatch, ring):
    """A train cohort of twelve annotated cases in the current folder, bases, and a way to run a stage."""
    monkeypatch.chdir(tmp_path)
    changed = yaml.safe_load(compose(ROOT / "presets", "smoke"))
    changed["arms"] |= ARMS
    changed["segmenters"]["sam"] |= TOGETHER
    changed["segmenters"]["unet_again"] = copy.deepcopy(changed["segmenters"]["unet"])
    Path("params.yaml").write_text(yaml.safe_dump(changed, sort_keys=False))
    params = load_params(Path("params.yaml"))
    write_dataset(Path("cohort"), [ring(i, split="train") for i in range(12)], role="train", structures=STRUCTURES)
    Path("bases").mkdir()

    def stage(module, **arguments):
        paths = {key: Path(value) if "/" in str(value) else value for key, value in arguments.items()}
        execute(module.run, View(params, module.PARAMS), paths)

    write_dataset(Path("extra"), [], role="extra", structures=STRUCTURES)
    stage(base_sam, segmenter="sam", out="bases/sam")
    stage(base_unet, segmenter="unet", out="bases/unet")
    return stage


CELL = {"labels": 8, "replicate": 0}


def finetune(stage, arm, module=finetune_semi, segmenter="unet", folder="./unlabelled", train="./cohort"):
    stage(module, segmenter=segmenter, bases="./bases", train=train, extra="./extra", unlabelled=folder, arm=arm,
          out=f"./{arm}", metrics=f"./{arm}.json", live=f"./live_{arm}", **CELL)  # fmt: skip
    return json.loads(Path(f"{arm}.json").read_text())


@pytest.mark.parametrize(("arm", "passes"), [("pair", (64, 0)), ("teacher", (32, 16)), ("uni", (48, 32))])
def test_no_mask_beyond_the_labels_is_opened(world, monkeypatch, arm, passes):
    world(unlabelled, train="./cohort", source="./cohort", out="./unlabelled", **CELL)
    opened, decode = set(), dataset._decode_case

    def watched(path, row, n_structures):
        opened.add((path.name, row["id"], row.get("mask") is not None))
        return decode(path, row, n_structures)

    monkeypatch.setattr(dataset, "_decode_case", watched)
    told = finetune(world, arm)
    labels = set(label_ids(Path("cohort"), 8, 0, 0))
    assert {one for folder, one, _ in opened if folder == "cohort"} == labels
    assert not any(masked for folder, _, masked in opened if folder == "unlabelled")
    assert (told["labels"], told["unlabelled"]) == (8, 4)
    assert told["trainable_parameters"] == told["parameters"] > 0
    assert tuple(told["forward_passes"].values()) == passes and told["vanishing"] == {"head": 0}
    curves = {path.stem for path in Path(f"live_{arm}").rglob("*.tsv")}
    assert {"loss", "pseudo_label_confidence", "pseudo_label_coverage", "pseudo_label_share_head"} <= curves
    assert "pseudo_label_correctness" not in curves


def test_of_simulated_images_the_true_masks_are_a_curve_and_nothing_more(world, ring):
    """Weights are those of the same images as real ones, whose masks stay shut."""
    cases = [ring(i, split="train", mask_source="simulated") for i in range(12)]
    write_dataset(Path("phantoms"), cases, role="train", structures=STRUCTURES)
    weights = {}
    for cohort in ("phantoms", "cohort"):
        folder = f"./unlabelled_{cohort}"
        world(unlabelled, train=f"./{cohort}", source=f"./{cohort}", out=folder, **CELL)
        finetune(world, "teacher", folder=folder, train=f"./{cohort}")
        weights[cohort] = Path("teacher/segmenter.safetensors").read_bytes()
        curves = {path.stem for path in Path("live_teacher").rglob("*.tsv")}
        assert ("pseudo_label_correctness" in curves) == (cohort == "phantoms")
    assert weights["phantoms"] == weights["cohort"]


def test_true_masks_are_in_the_order_of_the_images(world, ring):
    cases = [ring(i, split="train", mask_source="simulated") for i in range(4)]
    write_dataset(Path("phantoms"), cases, role="train", structures=STRUCTURES)
    ids = [cases[k].id for k in (2, 0, 3)]
    found = Others(Path(), Path("phantoms"), Path(), None)._simulated(ids)
    assert [case.id for case in found] == ids and (found[0].mask == cases[2].mask).all()
    assert Others(Path(), Path("cohort"), Path(), None)._simulated(ids) == []
    assert Others(Path(), Path("phantoms"), Path(), None)._simulated([*ids, "of another cohort"]) == []


def test_the_benchmark_of_settings_opens_no_mask_beyond_the_labels_and_val(world, ring, monkeypatch):
    cases = [ring(i, split="val" if i < 3 else "train") for i in range(12)]
    write_dataset(Path("with_val"), cases, role="train", structures=STRUCTURES)
    asked = {"--train": "with_val", "--segmenters": "unet", "--labels": "4", "--steps": "1", "--out": "rows"}
    command = ["benchmark", *(word for pair in asked.items() for word in pair), "--methods"]
    opened, decode = set(), dataset._decode_case

    def watched(path, row, n_structures):
        opened.update([row["id"]] if row.get("mask") is not None else [])
        return decode(path, row, n_structures)

    monkeypatch.setattr(dataset, "_decode_case", watched)
    monkeypatch.setattr("sys.argv", [*command, "supervised", "mean_teacher"])
    for _ in range(2):
        unlabelled_methods.main()
    rows = [json.loads(line) for line in Path("rows/rows.jsonl").read_text().splitlines()]
    assert [row["method"] for row in rows] == ["supervised", "mean_teacher"], "what is there is not repeated"
    assert {(row["learning_rate"], row["pseudo"], row["cases"]) for row in rows} == {(0.002, None, 3)}
    assert opened == {*label_ids(Path("with_val"), 4, 0, 0), *(case.id for case in cases[:3])}
    monkeypatch.setattr("sys.argv", [*command, "pseudo"])
    with pytest.raises(InputError, match="needs --pseudo"):
        unlabelled_methods.main()
    monkeypatch.setattr("sys.argv", [*command, "pseudo", "--pseudo", "some/4-0", "--replicates", "0", "1"])
    with pytest.raises(InputError, match="one value of --labels and --replicates"):
        unlabelled_methods.main()


@pytest.mark.parametrize("arm", ["twins", "namesakes"])
def test_two_networks_of_equal_settings_start_from_different_weights(world, monkeypatch, arm):
    """Of one name, and of two names with the default of partner_seed; the cell's own starts as in a supervised arm."""
    from pipeline.tasks.segmentation import finetuning

    world(unlabelled, train="./cohort", source="./cohort", out="./unlabelled", **CELL)
    world(base_unet, segmenter="unet", out="bases/unet_again")
    started = []
    monkeypatch.setattr(finetuning.loop, "train", lambda objective, *_, **__: started.append(
        [copied(one) for one in (getattr(objective.network, "networks", None) or [objective.network])]))  # fmt: skip
    monkeypatch.setattr(finetuning, "save_segmenter", lambda kind, folder, *_, **__: folder.mkdir())
    finetune(world, arm)
    world(finetune_unet, segmenter="unet", base="bases/unet", train="./cohort", extra="./extra", arm="real",
          out="./real", metrics="./real.json", live="./live", **CELL)  # fmt: skip
    (own, partner), (alone,) = started
    head = next(name for name in own if "segmentation_head" in name and name.endswith("weight"))
    assert not (own[head] == partner[head]).all()
    assert all((value == alone[name]).all() for name, value in own.items())


def test_pseudo_labels_need_masks_and_methods_need_images(world):
    world(unlabelled, train="./cohort", source="./cohort", out="./unlabelled", **CELL)
    with pytest.raises(InputError, match=r"no image has a pseudo-mask; lower unlabelled\.agreement"):
        finetune(world, "pseudo", finetune_pseudo)
    write_dataset(Path("none"), [], role="unlabelled", structures=STRUCTURES)
    with pytest.raises(InputError, match=r"no image is left beyond the labels; lower grid\.labels"):
        finetune(world, "teacher", folder="./none")


def test_supervised_cells_of_the_same_replicate_are_untouched(world):
    stage, arguments = world, {"train": "./cohort", "extra": "./extra", "arm": "real", **CELL}
    stage(
        finetune_unet,
        segmenter="unet",
        base="bases/unet",
        out="./real",
        metrics="./real.json",
        live="./live",
        **arguments,
    )
    told = json.loads(Path("real.json").read_text())
    assert told["forward_passes"] == {"with_gradient": 16, "without_gradient": 0} and told["vanishing"] is None


@pytest.mark.parametrize(("change", "message"), [
    (lambda p: p["arms"]["dual"]["unlabelled"].update(networks=["sam", "swin"]), "names 'swin', which is not among"),
    (lambda p: p["arms"]["dual"]["unlabelled"].update(networks=["unet", "unet"], partner_seed=1),
     "grid.segmenters has 'sam' too"),
    (lambda p: p["segmenters"]["unet"]["base"].update(image_size=64), "are of 32 and 64 px"),
    (lambda p: p["segmenters"]["unet"].update(learning_rate=0.003),
     "segmenters.sam.learning_rate is 0.002, segmenters.unet.learning_rate 0.003; set both to one value"),
    (lambda p: p["segmenters"]["sam"].update(weight_decay=0.1), "weight_decay is 0.1, .*weight_decay 0.01; set both"),
    (lambda p: p["segmenters"]["unet"].update(steps=5), "sam.steps is 4, segmenters.unet.steps 5; set both"),
    (lambda p: p["segmenters"]["unet"].update(batch=8), "unet.batch 8; set both"),
    (lambda p: p["segmenters"]["unet"].update(warmup_steps=2), "unet.warmup_steps 2; set both"),
    (lambda p: p["segmenters"]["unet"].update(mixed_precision="bf16"), "unet.mixed_precision bf16; set both"),
    (lambda p: p["segmenters"].update(sam={key: value for key, value in p["segmenters"]["sam"].items()
                                           if key != "checkpointing"} | {"train": "decoder", "views": 2}),
     "set it to 'full' or 'lora'"),
    (lambda p: p["arms"]["dual"].update(validated=True), "validated does not apply with unlabelled"),
])  # fmt: skip
def test_arms_that_cannot_be_trained_are_refused_by_name(tmp_path, change, message):
    changed = yaml.safe_load(compose(ROOT / "presets", "smoke"))
    changed["arms"]["dual"] = copy.deepcopy(ARMS["pair"])
    changed["segmenters"]["sam"] |= TOGETHER
    change(changed)
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(changed, sort_keys=False))
    with pytest.raises(InputError, match=message):
        load_params(tmp_path / "params.yaml")


def test_an_unknown_segmenter_is_named(smoke_config, tmp_path):
    nowhere = [tmp_path] * 4
    with pytest.raises(InputError, match="no segmenter 'san' under segmenters"):
        finetune_with_others(smoke_config, "san", *nowhere, 8, 0, "dual", *nowhere[:3])
