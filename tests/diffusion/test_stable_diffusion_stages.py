"""Stable Diffusion through the stages that encode, train and sample."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipeline.data.structures import Structure
from tests.diffusion.tuning import VARIANTS


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_backend_runs_through_the_stages(variant, tiny_model, ring, tmp_path, monkeypatch, root):
    """train_diffusion and sample with a real folder's layout, labelled and unlabelled images."""
    import yaml

    from pipeline import encode_views, sample, train_diffusion
    from pipeline.config.params import View, load_params
    from pipeline.data.dataset import read_dataset
    from pipeline.data.writer import write_dataset
    from pipeline.diffusion.stable_diffusion import generator as latent
    from pipeline.run.stage import execute
    from pipeline.tools.preset import compose

    monkeypatch.chdir(tmp_path)
    changed = yaml.safe_load(compose(root / "presets", "stable_diffusion"))
    changed["compute"]["threads"] = 1
    changed["diffusion"] |= {"weights": str(tiny_model), "variant": variant, "steps": 2}
    unlabelled = "null_mask" if variant == "controlnet" else "pseudo_mask"
    changed["views"] |= {"image_size": 64, "unlabelled": unlabelled}
    changed["sample"] |= {"count": 8, "chunk_size": 4, "steps": 2, "variety": {"masks": 2, "images": 2}}
    changed["sample"]["masks"] = {"parent": 1.0, "shape_model": 0.0, "user": 0.0}
    Path("params.yaml").write_text(yaml.safe_dump(changed))
    params = load_params(Path("params.yaml"))
    classes = (Structure("head", "head"),)
    write_dataset(Path("train"), [ring(i) for i in range(8)], role="train", structures=classes)
    others = [replace(ring(i), mask=None, mask_source=None) for i in range(8, 12)]
    write_dataset(Path("unlabelled"), others, role="unlabelled", structures=classes)
    Path("masks").mkdir()

    def stage(module, **paths):
        arguments = {key: Path(value) for key, value in paths.items()} | {"labels": 8, "replicate": 0}
        execute(module.run, View(params, module.PARAMS), arguments)

    stage(encode_views, train="train", unlabelled="unlabelled", out="views")
    stage(train_diffusion, views="views", out="model", live="live")
    trained_on = json.loads(Path("model/training.json").read_text())["trained_on"]
    assert trained_on["unlabelled"] == (4 if variant == "controlnet" else 0)
    if variant == "reference":
        # Eight steps teach nobody to draw a contour: every other sample is given one.
        decoded = iter([None, np.pad(np.ones((20, 20), np.uint8), 22)] * 8)
        monkeypatch.setattr(latent, "decode_contours", lambda joint, n: (joint[..., 0], next(decoded)))
    stage(sample, train="train", diffusion="model", masks="masks", out="pairs", variety="variety")
    cases = read_dataset(Path("pairs")).cases
    assert len(cases) == (8 if variant == "controlnet" else 4), "a sample without a closed contour is left out"
    assert cases[0].image.shape == ((48, 64) if variant == "controlnet" else (64, 64))
    assert {case.mask_source for case in cases} == ({"parent"} if variant == "controlnet" else {"generated"})
