"""Two structures (as in PSFHS) through every stage, in one process, on a user's own folders."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from pipeline import (
    base_weights,
    curate,
    describe,
    encode_cohorts,
    encode_synthetic,
    evaluate,
    finetune,
    gate,
    oracle,
    predict,
    prepare,
    pseudo_label,
    sample,
    score,
    train_diffusion,
    train_filter,
    train_instrument,
    usefulness,
)
from pipeline.config.params import View, load_params
from pipeline.data.structures import Structure, names
from pipeline.run.errors import InputError
from pipeline.run.stage import execute
from pipeline.tools.preset import compose

ROOT = Path(__file__).parents[1]
STRUCTURES = (Structure("symphysis"), Structure("head", "head"))


def draw_cohort(folder: Path, count: int, seed: int, ring) -> None:
    """A ring (the head, class 2) and a bright disc beside it (the symphysis, class 1)."""
    rng = np.random.default_rng(seed)
    for kind in ("images", "masks"):
        (folder / kind).mkdir(parents=True)
    for i in range(count):
        case = ring(1000 * seed + i)
        mask, image = case.mask * 2, case.image.copy()
        rows, columns = np.mgrid[:48, :64]
        disc = np.hypot(rows - rng.uniform(7, 10), columns - rng.uniform(7, 10)) < rng.uniform(4, 6)
        mask[disc], image[disc] = 1, 180
        Image.fromarray(image).save(folder / "images" / f"{seed}-{i:02d}.png")
        Image.fromarray(mask).save(folder / "masks" / f"{seed}-{i:02d}.png")


@pytest.fixture(scope="module")
def params(tmp_path_factory):
    path = tmp_path_factory.mktemp("params") / "params.yaml"
    changed = yaml.safe_load(compose(ROOT / "presets", "smoke"))
    changed["diffusion"]["unlabelled"] = "pseudo_mask"
    changed["pseudo"]["agreement"] = 0.0
    # The rarer ways, so that they too meet two structures; the end-to-end test trains everything, promptless.
    changed["segmenters"]["sam"].update(train="decoder", prompt="predicted_box")
    changed["segmenters"]["sam"]["base"]["views"] = 2
    changed["segmenters"]["unet"].update(deep_supervision=True)
    changed["arms"]["synthetic"].update(validated=True, pretrain=0.5)
    rare = {"real": 0.5, "curated": True, "generous": True}
    changed["arms"]["generous"] = changed["arms"]["synthetic"] | rare
    changed["task"] |= {"structures": {"symphysis": None, "head": "head"}, "unions": {"both": ["symphysis", "head"]}}
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
    stage(train_instrument, train=train, out="./instrument")
    stage(train_filter, train=train, out="./filter", **cell)
    stage(pseudo_label, train=train, filter="./filter", out="./unlabelled")
    stage(train_diffusion, train=train, unlabelled="./unlabelled", out="./diffusion", live="./live", **cell)
    Path("masks").mkdir()
    stage(sample, diffusion="./diffusion", train=train, masks="./masks", out="./synthetic", variety="./variety", **cell)
    trained_on = json.loads(Path("diffusion/training.json").read_text())["trained_on"]
    assert len(trained_on["labels"]) == 8 and trained_on["unlabelled"] == 8
    assert "8 unlabelled" in Path("synthetic/README.md").read_text()
    foreign = "cohorts/foreign/phantom_d"
    made = {"train": train, "synthetic": "./synthetic", "unlabelled": "./unlabelled"}
    others = {"variety": "./variety", "foreign": foreign, "instrument": "./instrument"}
    stage(score, **made, **others, out="./quality.json", samples="./samples.csv")
    stage(usefulness, synthetic="./synthetic", train=train, out="./usefulness.json", **cell)
    scores = {"quality": "./quality.json", "usefulness": "./usefulness.json", "samples": "./samples.csv"}
    stage(describe, synthetic="./synthetic", train=train, **scores, out="./page", distributions="./curves")
    stage(gate, quality="./quality.json", page="./page", out="./gate.json")
    stage(curate, filter="./filter", **made, out="./curated")
    sets = {"train": train, "synthetic": "./synthetic", "curated": "./curated", "generous": "./curated"}
    held_out = {"test": train, "held_out": "cohorts/held_out"}
    for name, arm in (("sam", "synthetic"), ("unet", "generous")):
        own = {"segmenter": name, "base": f"./{name}"}
        stage(base_weights, segmenter=name, out=f"./{name}")
        stage(encode_cohorts, **own, train=train, held_out="cohorts/held_out", out=f"./{name}_embeddings")
        stage(encode_synthetic, **own, synthetic="./synthetic", out=f"./{name}_synthetic")
        encoded = {"embeddings": f"./{name}_embeddings", "synthetic_embeddings": f"./{name}_synthetic"}
        written = {"out": f"./{name}_tuned", "metrics": f"./{name}.json", "live": f"./live_{name}"}
        stage(finetune, **own, **sets, **encoded, arm=arm, **written, **cell)
        fine_tuned = {"base": f"./{name}", "segmenter": f"./{name}_tuned"}
        stage(predict, **fine_tuned, embeddings=f"./{name}_embeddings", out=f"./{name}_predictions", **held_out)
        stage(evaluate, predictions=f"./{name}_predictions", out=f"./{name}.csv", **held_out)
    stage(oracle, base="./sam", segmenter="./sam_tuned", out="./oracle.csv", **held_out)

    quality = json.loads(Path("quality.json").read_text())
    views = {(one["name"], one["view"]) for one in quality["measures"] if one["question"] == "obedience"}
    assert views == {(name, structure) for name in ("dice", "boundary") for structure in names(STRUCTURES)}
    assert "of the symphysis" in quality["verdicts"]["obedience"]["text"]
    assert "symphysis" in Path("page/index.html").read_text()
    shapes = quality["masks"]
    assert list(shapes) == ["symphysis", "head"]
    assert set(shapes["head"]["area"]["sources"]) == {"parent", "shape_model"}
    assert all(one["synthetic"]["n"] + one["synthetic"]["undefined"] == 24 for one in shapes["symphysis"].values())
    assert shapes["symphysis"]["area"]["synthetic"]["mean"] < shapes["head"]["area"]["synthetic"]["mean"]
    for name in ("sam", "unet"):
        with Path(f"{name}.csv").open() as file:
            rows = list(csv.DictReader(file))
        assert {row["region"] for row in rows} == {"symphysis", "head", "both"}
        assert {row["cell"] for row in rows} == {f"{name}_predictions"}
        assert {row["cohort"] for row in rows} == {"phantom_a", "phantom_b", "phantom_c"}
        assert {row["region"] for row in rows if row["metric"] == "hc_error_percent"} == {"head"}


def test_a_held_out_cohort_of_other_structures_is_refused(params, tmp_path, monkeypatch, ring):
    from pipeline.data.writer import write_dataset
    from pipeline.networks.sam.checkpoint import build_sam, save_compact_base
    from pipeline.networks.sam.compact import build_compact_sam
    from pipeline.networks.segmenter import save_segmenter

    monkeypatch.chdir(tmp_path)
    settings = params.segmenters["sam"]
    save_compact_base(Path("sam"), build_compact_sam(settings.base.compact, 32, 2), settings.base)
    network = build_sam(Path("sam"), settings, 2)
    about = {"name": "sam", "base": Path("sam"), "settings": settings, "trained_on": {}}
    save_segmenter(Path("segmenter"), network, STRUCTURES, **about)
    for name in ("phantom_a", "phantom_b", "phantom_c"):
        cases = [ring(i, split="test") for i in range(2)]
        structures = STRUCTURES if name == "phantom_a" else STRUCTURES[:1]
        folder = Path("train" if name == "phantom_a" else "held_out") / name
        write_dataset(folder, cases, role="held_out", structures=structures)
    arguments = {
        "base": "sam",
        "embeddings": "none",
        "segmenter": "segmenter",
        "test": "train/phantom_a",
        "held_out": "held_out",
        "out": "out",
    }
    arguments = {key: Path(value) for key, value in arguments.items()}
    with pytest.raises(InputError, match=r"phantom_b.* are symphysis, those of .* are symphysis, head \(role head\)"):
        execute(predict.run, View(params, predict.PARAMS), arguments)
