"""Every stage of gestational age run once, in one process, on rings whose age is implied by their size."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

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
from pipeline.config.params import View, load_params
from pipeline.data.ages import FORMULAS, implied_age
from pipeline.data.structures import Structure
from pipeline.data.tables import read_table
from pipeline.data.writer import write_dataset
from pipeline.run.stage import execute
from pipeline.tasks.segmentation.biometry.circumference import head_circumference_px
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
