"""Sets of broken generators, sampled and scored by the real stages, are stopped by the gate for the right reason."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipeline import gate, score, train_instrument
from pipeline.config.params import View, load_params
from pipeline.config.quality import Gate
from pipeline.data.writer import assemble_dataset, write_dataset
from pipeline.diffusion.masks import MaskSource, RepeatedMasks
from pipeline.diffusion.sampling import sample_shards
from pipeline.imaging.letterbox import letterbox
from pipeline.run import files
from pipeline.run.errors import InputError
from pipeline.run.stage import execute
from pipeline.simulation import simulate_case
from pipeline.tools.preset import compose

ROOT = Path(__file__).parents[1]
CLASSES = ("background", "head")
SIZE = 64
DEFAULT_LIMITS = {
    "fidelity": 1.0,
    "coverage": None,
    "imprint": 0.2,
    "obedience": 0.5,
    "copies": 0.02,
    "membership": None,
}


class Honest:
    """Draws another real image's anatomy for each mask: that image and its own mask."""

    makes_masks, image_size = False, SIZE

    def __init__(self, cases):
        self.images = [letterbox(case.image, SIZE)[0] for case in cases]
        self.masks = [letterbox(case.mask, SIZE, mask=True)[0] for case in cases]

    def render(self, draws, seeds, params):
        places = [self.place(draw, seed) for draw, seed in zip(draws, seeds, strict=True)]
        return [self.images[i] for i in places], [self.mask(draw, i) for draw, i in zip(draws, places, strict=True)]

    def place(self, draw, seed):
        return seed % len(self.images)

    def mask(self, draw, place):
        return self.masks[place]


class IgnoresTheMask(Honest):
    def mask(self, draw, place):
        return draw.mask


class CopiesTraining(Honest):
    """Returns the training image whose mask was to be changed, mirrored and a little darker."""

    def __init__(self, cases):
        super().__init__(cases)
        self.place_of = {case.id: i for i, case in enumerate(cases)}
        self.images = [(0.8 * image[:, ::-1]).astype(np.uint8) for image in self.images]
        self.masks = [mask[:, ::-1] for mask in self.masks]

    def place(self, draw, seed):
        return self.place_of[draw.template.id]


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Phantom cohorts, a trained instrument, and the parameters of the smoke preset with the default limits."""
    root = tmp_path_factory.mktemp("gate")
    text = compose(ROOT / "presets", "smoke")
    (root / "params.yaml").write_text(text)
    config = load_params(root / "params.yaml")
    learnt = {"image_size": SIZE, "steps": 120, "channels": (8, 16, 24, 32, 32)}
    config = config.model_copy(
        update={"gate": Gate(**DEFAULT_LIMITS), "instrument": config.instrument.model_copy(update=learnt)}
    )
    split_of = ["instrument"] * 30 + ["train"] * 40 + ["test"] * 24 + ["spare"] * 40
    cases = [simulate_case("phantom_a", i, seed=9) for i in range(len(split_of))]
    split = {name: [c for c, s in zip(cases, split_of, strict=True) if s == name] for name in set(split_of)}
    known = [replace(case, split=name) for name in ("instrument", "train", "test") for case in split[name]]
    write_dataset(root / "phantom_a", known, role="train", classes=CLASSES)
    away = [replace(simulate_case("phantom_d", i, seed=9), mask=None, mask_source=None) for i in range(24)]
    write_dataset(root / "phantom_d", away, role="foreign", classes=CLASSES)
    write_dataset(root / "unlabelled", [], role="unlabelled", classes=CLASSES)
    params = View(config, train_instrument.PARAMS)
    execute(train_instrument.run, params, {"train": root / "phantom_a", "out": root / "instrument"})
    return root, config, [case for case in known if case.split == "train"], split["spare"]


def judge(world, generator_class, name):
    """Sample a set, score it and ask the gate."""
    root, config, labels, spare = world
    folder = root / name
    generator = generator_class(labels if generator_class is CopiesTraining else spare)
    source = MaskSource(labels, 1, SIZE, config.sample.masks, config.warp, 0)
    origin = {"cohort": "phantom_a", "replicate": 0, "unlabelled": 0}
    for part, masks, count in (("set", source, 40), ("variety", RepeatedMasks(source, 2), 8)):
        asked = config.sample.model_copy(update={"count": count})
        shards = sample_shards(generator, masks, asked, 0, folder / f"shards-{part}")
        index = {"role": "synthetic", "classes": CLASSES, "labels": [case.id for case in labels]}
        assemble_dataset(folder / part, shards, **index, provenance=origin)
    inputs = {"synthetic": folder / "set", "variety": folder / "variety", "train": root / "phantom_a"}
    inputs |= {"unlabelled": root / "unlabelled", "foreign": root / "phantom_d", "instrument": root / "instrument"}
    outputs = {"out": folder / "quality.json", "samples": folder / "samples.csv"}
    execute(score.run, View(config, score.PARAMS), inputs | outputs)
    arguments = {"quality": outputs["out"], "page": folder / "page", "out": folder / "gate.json"}
    execute(gate.run, View(config, gate.PARAMS), arguments)
    return folder


@pytest.fixture(autouse=True)
def in_scratch(world, monkeypatch):
    monkeypatch.chdir(world[0])


def test_an_honest_set_passes_and_the_output_holds_the_limits_alone(world):
    folder = judge(world, Honest, "honest")
    assert json.loads((folder / "gate.json").read_text()) == {"passed": DEFAULT_LIMITS}
    quality = files.read_json(folder / "quality.json", "")
    assert quality["verdicts"]["privacy"]["word"] == "good"
    assert quality["verdicts"]["obedience"]["word"] == "good"


def test_a_generator_that_ignores_its_masks_is_stopped_for_that(world):
    with pytest.raises(
        InputError, match=r"page/index\.html is rejected: Mask obedience.*does not follow its masks"
    ) as e:
        judge(world, IgnoresTheMask, "deaf")
    assert "copies" not in str(e.value)
    assert not (world[0] / "deaf/gate.json").exists()
    assert (world[0] / "deaf/quality.json").exists(), "the scores stay to be looked at"


def test_a_generator_that_copies_is_stopped_for_that(world):
    with pytest.raises(InputError, match="40 of 40 images are copies of training images") as e:
        judge(world, CopiesTraining, "copier")
    assert "does not follow" not in str(e.value)
    quality = files.read_json(world[0] / "copier/quality.json", "")
    assert quality["verdicts"]["obedience"]["word"] == "good", "copies obey: obedience cannot see them"
    assert quality["verdicts"]["privacy"]["word"] == "bad"
