"""A set of planted faults alone is stopped by the gate, each for its own."""

import inspect
import re
from dataclasses import replace

import numpy as np
import pytest

from pipeline import curate, gate
from pipeline.config.params import View
from pipeline.config.quality import Gate
from pipeline.data.writer import write_dataset
from pipeline.imaging.outline import outline
from pipeline.run import files
from pipeline.run.errors import InputError
from pipeline.run.stage import execute
from tests.label_budget.planted import STRUCTURES, N, samples, shifted, write_samples

LIMITS = {"mask_agreement": 0.5, "plausibility": 0.9, "imprint": 0.2, "copies": 0.02}


def rimmed(case):
    """The same image with a black line along its mask."""
    return replace(case, image=np.where(outline(case.mask), 0, case.image).astype(np.uint8))


def only(world, ring, kind):
    """A set of one kind of sample."""
    if kind == "rim":
        return [rimmed(case) for case in only(world, ring, "honest")]
    return [case for case in samples(world.labels, ring) if case.id.startswith(kind)]


def judged(world, cases, **given):
    """What the gate writes of a set, by its limits ``LIMITS`` or those given."""
    write_samples(world.root / "judged", cases, world.labels)
    params = View(world.config.model_copy(update={"gate": Gate(**LIMITS | given.pop("limits", {}))}), gate.PARAMS)
    names = {"filter": "filter", "synthetic": "judged", "train": "train", "unlabelled": "unlabelled"}
    names |= {"page": "page", "out": "gate.json"}
    execute(gate.run, params, {key: world.root / name for key, name in names.items()} | given)
    return files.read_json(world.root / "gate.json", "")


def test_an_honest_set_passes_and_the_output_holds_the_limits_alone(world, ring):
    assert judged(world, only(world, ring, "honest")) == {"passed": LIMITS}


@pytest.mark.parametrize(
    ("kind", "reasons"),
    [
        (
            "wrong",
            {"mask_agreement": r"mask agreement of 'head' is 0\.\d+, \d\.\d+ of the way from that of the labels"},
        ),
        ("noise", {"plausibility": "100% of 4 images lie farther from the labels"}),
        ("rim", {"imprint": r"\d+% of 12 images are imprinted.*\(\d+% of the labels\)"}),
        ("copy", {"copies": "6 of 6 images are copies of training images"}),
        ("mirrored", {"copies": "4 of 4 images are copies of training images"}),
    ],
)
def test_a_set_of_one_fault_is_stopped_for_it(world, ring, kind, reasons):
    cases = only(world, ring, kind)
    with pytest.raises(InputError, match=r"page/index\.html is rejected: ") as e:
        judged(world, cases)
    for name, reason in reasons.items():
        assert re.search(rf"{reason}[^;]*; gate\.{name} allows {LIMITS[name]:g}: .*or raise gate\.{name}", str(e.value))
    if kind in ("copy", "mirrored"):
        assert str(e.value).count("allows") == 1, "copies agree with their masks as well as any"
    assert judged(world, cases, limits=dict.fromkeys(LIMITS)) == {"passed": dict.fromkeys(LIMITS)}


def test_the_gate_reads_nothing_but_the_labels_and_the_images_shown(world, ring):
    """Other masks, other train cases, val and test patients: the message keeps every digit."""
    changed = world.labels + [ring(200 + i, mask=shifted(ring(200 + i).mask)) for i in range(4)]
    changed += [ring(300 + i, split=split) for i, split in enumerate(["val", "test"])]
    write_dataset(world.root / "beyond", changed, role="train", structures=STRUCTURES)
    said = []
    for train in ("train", "beyond"):
        with pytest.raises(InputError) as e:
            judged(world, only(world, ring, "wrong"), train=world.root / train, limits=dict.fromkeys(LIMITS, 0.0))
        said.append(str(e.value))
    assert said[0] == said[1] and "mask agreement" in said[0]


def test_with_fewer_than_ten_labels_the_limit_of_rims_is_left_out_with_a_warning(world, ring, monkeypatch, caplog):
    monkeypatch.setattr("pipeline.quality.selection.gate.MIN_REAL", N + 1)
    off = dict.fromkeys(LIMITS) | {"imprint": 0.2}
    assert judged(world, only(world, ring, "rim"), limits=off) == {"passed": off}
    assert (
        "gate.imprint leaves 'head' out: it needs 17 labels that show its outline clearly, the set has 16"
        in caplog.text
    )


@pytest.mark.parametrize("stage", [curate, gate])
def test_the_evaluation_network_selects_nothing(stage):
    given = set(inspect.signature(stage.run).parameters)
    assert given - {"page"} == {"params", "filter", "synthetic", "train", "unlabelled", "out"}
    assert set(stage.PARAMS) <= {"seed", "compute", "curate", "gate"}
