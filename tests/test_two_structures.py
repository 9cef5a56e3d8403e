"""Two structures (as in PSFHS) through every stage, in one process, on a user's own folders."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from pipeline import (
    assemble_generated,
    assemble_generous,
    base_sam,
    base_unet,
    curate,
    describe,
    encode_views,
    evaluate,
    finetune_sam,
    finetune_unet,
    gate,
    oracle,
    predict_sam,
    predict_unet,
    prepare,
    pseudo_label,
    sample,
    score,
    train_diffusion,
    train_evaluation_network,
    train_filter,
    unlabelled,
    usefulness,
)
from pipeline.config.params import View, load_params
from pipeline.data.structures import Structure, names, to_json
from pipeline.data.writer import write_dataset
from pipeline.run.errors import InputError
from pipeline.run.stage import execute
from pipeline.tasks.segmentation.prediction import predict
from pipeline.tools.preset import compose

ROOT = Path(__file__).parents[1]
STRUCTURES = (Structure("symphysis", "symphysis"), Structure("head", "head"))


def draw_cohort(folder: Path, count: int, seed: int, ring) -> None:
    """A ring (the head, class 2) and a bright ellipse beside it (the symphysis, class 1), whose axis points past it."""
    rng = np.random.default_rng(seed)
    for kind in ("images", "masks"):
        (folder / kind).mkdir(parents=True)
    for i in range(count):
        case = ring(1000 * seed + i)
        mask, image = case.mask * 2, case.image.copy()
        rows, columns = np.mgrid[:48, :64]
        tilt, long = rng.uniform(0.0, 0.4), rng.uniform(6, 8)
        y, x = rows - rng.uniform(6, 8), columns - rng.uniform(9, 12)
        along, across = x * np.cos(tilt) - y * np.sin(tilt), x * np.sin(tilt) + y * np.cos(tilt)
        bone = np.hypot(along / long, across / (0.55 * long)) < 1
        mask[bone], image[bone] = 1, 180
        Image.fromarray(image).save(folder / "images" / f"{seed}-{i:02d}.png")
        Image.fromarray(mask).save(folder / "masks" / f"{seed}-{i:02d}.png")


@pytest.fixture(scope="module")
def params(tmp_path_factory):
    path = tmp_path_factory.mktemp("params") / "params.yaml"
    changed = yaml.safe_load(compose(ROOT / "presets", "smoke"))
    # Symphyses here are smaller than a cell of the default code.
    changed["views"] |= {"unlabelled": "pseudo_mask", "code": {"kind": "pixel", "patch": 2}}
    changed["unlabelled"]["agreement"] = 0.0
    # Two networks that teach each other are trained in full.
    changed["grid"]["arms"].remove("dual")
    changed["kinds"]["labels"].remove("dual")
    changed["kinds"].update(semi=[])
    # The rarer ways, so that they too meet two structures; the end-to-end test trains everything, promptless.
    changed["segmenters"]["sam"].update(train="decoder", prompt="predicted_box")
    changed["segmenters"]["sam"]["views"] = 2
    del changed["segmenters"]["sam"]["checkpointing"]
    changed["segmenters"]["unet"].update(deep_supervision=True, outputs="exclusive")
    changed["arms"]["synthetic"].update(validated=True, pretrain=0.5)
    rare = {"real": 0.5, "curated": True, "generous": True}
    changed["arms"]["generous"] = changed["arms"]["synthetic"] | rare
    changed["task"] |= {"structures": {"symphysis": "symphysis", "head": "head"}}
    changed["task"] |= {"unions": {"both": ["symphysis", "head"]}}
    for section in (changed["augment"], changed["strong_augment"], changed["views"]["augment"]):
        section["flip"] = False
    # The angles here are large.
    changed["sample"]["masks"]["angles"] = {"below_90": 0.0, "from_140": 0.75}
    for cohort in changed["cohorts"].values():
        cohort["classes"] = ["background", "symphysis", "head"]
    path.write_text(yaml.safe_dump(changed, sort_keys=False))
    return load_params(path)


def test_every_stage_carries_two_structures(params, tmp_path, monkeypatch, ring):
    monkeypatch.chdir(tmp_path)

    def stage(module, **arguments):
        paths = {key: Path(value) if "/" in str(value) else value for key, value in arguments.items()}
        execute(module.run, View(params, module.PARAMS), paths)

    for seed, name in enumerate(("phantom_a", "phantom_b", "phantom_c", "phantom_d")):
        draw_cohort(Path("raw") / name, 40 if name == "phantom_a" else 12, seed + 1, ring)
        stage(prepare, cohort=name, raw=f"raw/{name}", out=f"cohorts/{params.cohorts[name].role}/{name}")
    train, cell = "cohorts/train/phantom_a", {"labels": 8, "replicate": 0}
    stage(train_evaluation_network, train=train, out="./evaluation_network")
    stage(train_filter, train=train, out="./filter", **cell)
    stage(unlabelled, train=train, source=train, out="./unlabelled", **cell)
    stage(pseudo_label, unlabelled="./unlabelled", filter="./filter", out="./pseudo")
    stage(encode_views, train=train, unlabelled="./pseudo", out="./views", **cell)
    stage(train_diffusion, views="./views", out="./diffusion", live="./live", **cell)
    Path("masks").mkdir()
    stage(sample, diffusion="./diffusion", train=train, masks="./masks", out="./synthetic", variety="./variety", **cell)
    trained_on = json.loads(Path("diffusion/training.json").read_text())["trained_on"]
    assert len(trained_on["labels"]) == 8 and trained_on["unlabelled"] == 8
    assert "8 unlabelled" in Path("synthetic/README.md").read_text()
    foreign = "cohorts/foreign/phantom_d"
    made = {"train": train, "synthetic": "./synthetic", "unlabelled": "./unlabelled"}
    others = {"variety": "./variety", "foreign": foreign, "evaluation_network": "./evaluation_network"}
    stage(score, **made, **others, out="./quality.json", samples="./samples.csv")
    stage(usefulness, synthetic="./synthetic", train=train, out="./usefulness.json", **cell)
    scores = {"quality": "./quality.json", "usefulness": "./usefulness.json", "samples": "./samples.csv"}
    stage(describe, synthetic="./synthetic", train=train, **scores, out="./page", distributions="./curves")
    stage(gate, filter="./filter", **made, page="./page", out="./gate.json")
    stage(curate, filter="./filter", **made, out="./curated")
    sets = {"curated": "./curated", "gate": "./gate.json", **cell}
    stage(assemble_generated, synthetic="./synthetic", arm="synthetic", out="./sam_arm", **sets)
    stage(assemble_generous, arm="generous", out="./unet_arm", **sets)
    held_out = {"test": train, "held_out": "cohorts/held_out"}
    ways = {"sam": (base_sam, finetune_sam, predict_sam), "unet": (base_unet, finetune_unet, predict_unet)}
    for (name, (base, finetune, predict_stage)), arm in zip(ways.items(), ("synthetic", "generous"), strict=True):
        stage(base, segmenter=name, out=f"./{name}")
        written = {"out": f"./{name}_tuned", "metrics": f"./{name}.json", "live": f"./live_{name}"}
        trained_on = {"train": train, "extra": f"./{name}_arm", "arm": arm, **cell}
        stage(finetune, segmenter=name, base=f"./{name}", **trained_on, **written)
        started = {"base": "./sam"} if name == "sam" else {}
        stage(predict_stage, **started, segmenter=f"./{name}_tuned", out=f"./{name}_predictions", **held_out)
        stage(evaluate, predictions=f"./{name}_predictions", out=f"./{name}.csv", **held_out)
    stage(oracle, base="./sam", segmenter="./sam_tuned", out="./oracle.csv", **held_out)

    quality = json.loads(Path("quality.json").read_text())
    views = {(one["name"], one["view"]) for one in quality["measures"] if one["question"] == "mask_agreement"}
    by_structure = {(name, structure) for name in ("dice", "boundary") for structure in names(STRUCTURES)}
    assert views == by_structure | {("aop_error", None), ("aop_unread", None)}
    assert json.loads(Path("synthetic/dataset.json").read_text())["provenance"]["angles"]["masks"]["from_140"] == 0.75
    assert "75.0 % of 140° and more" in Path("synthetic/README.md").read_text()
    with Path("samples.csv").open() as file:
        judged = [row for row in csv.DictReader(file) if row["set"] == "synthetic"]
    assert sum(float(row["aop_deg"]) >= 140 for row in judged) == 18
    assert all(row["mask_agreement_symphysis"] and row["mask_agreement_head"] for row in judged)
    limits = json.loads(Path("curated/dataset.json").read_text())["provenance"]["curated"]["thresholds"]
    assert len(limits["mask_agreement"]) == 2
    assert "of the symphysis" in quality["verdicts"]["mask_agreement"]["text"]
    assert "symphysis" in Path("page/index.html").read_text()
    shapes = quality["masks"]
    assert list(shapes) == ["symphysis", "head", "symphysis-head"]
    assert shapes["symphysis-head"]["aop"]["synthetic"]["n"] == 24
    assert set(shapes["head"]["area"]["sources"]) == {"parent", "shape_model"}
    assert all(one["synthetic"]["n"] + one["synthetic"]["undefined"] == 24 for one in shapes["symphysis"].values())
    assert shapes["symphysis"]["area"]["synthetic"]["mean"] < shapes["head"]["area"]["synthetic"]["mean"]
    for name in ("sam", "unet"):
        with Path(f"{name}.csv").open() as file:
            rows = list(csv.DictReader(file))
        assert {row["region"] for row in rows} == {"symphysis", "head", "both", "symphysis-head"}
        assert {row["cell"] for row in rows} == {f"{name}_predictions"}
        assert {row["cohort"] for row in rows} == {"phantom_a", "phantom_b", "phantom_c"}
        assert {row["region"] for row in rows if row["metric"] == "hc_error_percent"} == {"head"}


def test_a_held_out_cohort_of_other_structures_is_refused_before_anything_is_predicted(tmp_path, ring):
    paths = [tmp_path / name for name in ("phantom_a", "phantom_b")]
    for path, structures in zip(paths, (STRUCTURES, STRUCTURES[:1]), strict=True):
        write_dataset(path, [ring(0, split="test")], role="held_out", structures=structures)
    about = {"structures": to_json(STRUCTURES), "image_size": 32}
    with pytest.raises(
        InputError, match=r"phantom_b.* are symphysis .*, those of .* are symphysis .*, head \(role head\)"
    ):
        predict(None, about, paths, tmp_path / "out", "cpu")
    assert not (tmp_path / "out").exists()
