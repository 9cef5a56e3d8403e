"""Planted copies, wrong masks and noise: gone from a curated set, each by the criterion meant for it, and a set of them
alone is stopped by the gate."""

import inspect
import re
from collections import Counter
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from pipeline import curate, gate, train_filter
from pipeline.config.params import View
from pipeline.config.quality import Curate, Gate
from pipeline.data.dataset import read_dataset
from pipeline.data.structures import Structure
from pipeline.data.writer import write_dataset
from pipeline.imaging.outline import outline
from pipeline.quality.selection.gate import broken_limits
from pipeline.run import files
from pipeline.run.errors import InputError
from pipeline.run.stage import execute

STRUCTURES = (Structure("head", "head"),)
N = 16
KINDS = {"honest": 12, "wrong": 6, "noise": 4, "copy": 6, "mirrored": 4}
OFF = {"quantile": 0.05, "mask_agreement": False, "plausibility": False, "training_distance": False, "hardness": 0}
ON = OFF | {"mask_agreement": True, "plausibility": True, "training_distance": True}


def shifted(mask):
    return np.roll(mask, (14, -20), axis=(0, 1))


def sample(labels, kind, i, image, mask):
    parent = labels[i % len(labels)]
    name = f"{kind}-{i:03d}"
    return replace(parent, id=name, image=image, mask=mask, mask_source="parent", parent=parent.id, seed=i)


def samples(labels, ring, first=100):
    rng = np.random.default_rng(first)
    fresh = [ring(first + i) for i in range(60)]
    made = {
        "honest": lambda i: (fresh[i].image, fresh[i].mask),
        "wrong": lambda i: (fresh[30 + i].image, shifted(fresh[30 + i].mask)),
        "noise": lambda i: (rng.integers(0, 256, fresh[0].image.shape).astype(np.uint8), fresh[40 + i].mask),
        "copy": lambda i: (labels[i].image, labels[i].mask),
        "mirrored": lambda i: (labels[i].image[:, ::-1].copy(), labels[i].mask[:, ::-1].copy()),
    }
    cases = [sample(labels, kind, i, *made[kind](i)) for kind, count in KINDS.items() for i in range(count)]
    return [cases[i] for i in np.random.default_rng(0).permutation(len(cases))]


def write_samples(path, cases, labels, unlabelled=0):
    origin = {"cohort": "rings", "replicate": 0, "unlabelled": unlabelled}
    ids = [case.id for case in labels]
    write_dataset(path, cases, role="synthetic", structures=STRUCTURES, labels=ids, provenance=origin, shard_rows=16)


@pytest.fixture(scope="module")
def world(tmp_path_factory, smoke_config, ring):
    """A ring cohort, a filter of its first labels, unlabelled images, and a set with planted faults."""
    root = tmp_path_factory.mktemp("curate")
    labels = [ring(i) for i in range(N)]
    others = [ring(50 + i, mask=None, mask_source=None) for i in range(6)]
    write_dataset(root / "train", labels, role="train", structures=STRUCTURES)
    write_dataset(root / "unlabelled", others, role="unlabelled", structures=STRUCTURES)
    learnt = smoke_config.filter.model_copy(update={"steps": 30, "channels": (8, 8, 16, 16, 16)})
    config = smoke_config.model_copy(update={"filter": learnt})
    given = {"train": root / "train", "labels": N, "replicate": 0, "out": root / "filter"}
    execute(train_filter.run, View(config, train_filter.PARAMS), given)
    write_samples(root / "synthetic", samples(labels, ring), labels)
    return SimpleNamespace(root=root, config=config, labels=labels, others=others, count=0, known={})


@pytest.fixture(autouse=True)
def in_scratch(world, monkeypatch):
    monkeypatch.chdir(world.root)


def curated(world, settings, **given):
    """Run the stage, with other inputs where given, and read what it wrote; what was run before is read again."""
    key = str((sorted(settings.items()), sorted(given.items())))
    if key not in world.known:
        world.known[key] = run_curate(world, settings, given)
    return read_dataset(world.known[key])


def run_curate(world, settings, given):
    world.count += 1
    names = ("filter", "synthetic", "train", "unlabelled")
    paths = {name: world.root / name for name in names} | given
    out = world.root / f"out-{world.count}"
    params = View(world.config.model_copy(update={"curate": Curate(**settings)}), curate.PARAMS)
    execute(curate.run, params, {**paths, "out": out})
    return out


def kinds(dataset):
    return Counter(case.id.split("-")[0] for case in dataset.cases)


def test_planted_faults_are_gone_and_honest_samples_stay(world, caplog):
    caplog.set_level("INFO")
    found = curated(world, ON)
    assert set(kinds(found)) == {"honest"}
    assert kinds(found)["honest"] >= 6
    report = found.provenance["curated"]
    assert set(report) == {"kept", "of", "rows", "thresholds", "dropped", "hardness"}
    assert (report["kept"], report["of"], report["rows"]) == (len(found.cases), sum(KINDS.values()), len(found.cases))
    assert found.provenance["cohort"] == "rings"
    assert f"'mask_agreement': {report['dropped']['mask_agreement']}, 'plausibility'" in caplog.text
    assert f"{report['kept']} of {report['of']} samples" in (found.path / "README.md").read_text()


@pytest.mark.parametrize(
    ("switch", "gone", "spared"),
    [
        ("mask_agreement", {"wrong", "noise"}, {"copy", "mirrored", "honest"}),
        ("plausibility", {"noise"}, {"copy", "mirrored", "honest", "wrong"}),
        ("training_distance", {"copy", "mirrored"}, {"noise", "wrong", "honest"}),
    ],
)
def test_each_criterion_drops_its_own_fault_alone(world, switch, gone, spared):
    found = curated(world, OFF | {switch: True})
    left, report = kinds(found), found.provenance["curated"]
    assert all(left[kind] == 0 for kind in gone)
    assert all(left[kind] >= 0.5 * KINDS[kind] for kind in spared)
    assert [name for name, limit in report["thresholds"].items() if limit is not None] == [switch]
    assert report["dropped"][switch] == report["of"] - report["kept"]
    assert all(count == 0 for name, count in report["dropped"].items() if name != switch)


def test_everything_off_is_the_identity(world):
    found, given = curated(world, OFF), read_dataset(world.root / "synthetic")
    assert [case.id for case in found.cases] == [case.id for case in given.cases]
    assert all(np.array_equal(a.image, b.image) for a, b in zip(found.cases, given.cases, strict=True))
    assert found.provenance["curated"]["thresholds"] == dict.fromkeys(
        ("mask_agreement", "plausibility", "training_distance")
    )


def test_thresholds_are_of_the_labels_alone(world, ring):
    write_samples(world.root / "others", samples(world.labels, ring, 700)[:12], world.labels)
    a, b = curated(world, ON), curated(world, ON, synthetic=world.root / "others")
    assert a.provenance["curated"]["thresholds"] == b.provenance["curated"]["thresholds"]
    dice = list(files.read_json(world.root / "filter/filter.json", "")["out_of_fold_dice"].values())
    assert a.provenance["curated"]["thresholds"]["mask_agreement"] == pytest.approx(np.quantile(dice, 0.05))


def test_a_smaller_quantile_keeps_more(world):
    kept = [
        {case.id for case in curated(world, ON | {"training_distance": False, "quantile": q}).cases} for q in (0.0, 0.2)
    ]
    assert kept[0] > kept[1]


def test_masks_and_other_cases_of_the_cohort_do_not_matter(world, ring):
    """The filter is the only way from a mask of the cohort to a sample."""
    changed = [replace(case, mask=shifted(case.mask)) for case in world.labels]
    changed += [ring(200 + i, image=world.labels[i].image // 2) for i in range(4)] + [ring(300, split="test")]
    write_dataset(world.root / "changed", changed, role="train", structures=STRUCTURES)
    a, b = curated(world, ON), curated(world, ON, train=world.root / "changed")
    assert (a.path / "part-00000.parquet").read_bytes() == (b.path / "part-00000.parquet").read_bytes()


@pytest.mark.parametrize("shown", [6, 0])
def test_copies_of_unlabelled_images_count_where_the_generator_was_shown_them(world, ring, shown):
    copies = [sample(world.labels, "copy", i, case.image, ring(50 + i).mask) for i, case in enumerate(world.others)]
    honest = [sample(world.labels, "honest", i, ring(400 + i).image, ring(400 + i).mask) for i in range(6)]
    path = world.root / f"shown-{shown}"
    write_samples(path, honest + copies, world.labels, unlabelled=shown)
    found = curated(world, OFF | {"training_distance": True, "quantile": 0.0}, synthetic=path)
    assert kinds(found)["copy"] == 0 if shown else kinds(found)["copy"] > 3
    assert kinds(found)["honest"] > 3


def test_hard_samples_are_repeated_and_shuffled_in(world):
    settings = OFF | {"mask_agreement": True, "hardness": 2}
    plain, found = curated(world, settings | {"hardness": 0}), curated(world, settings)
    times = Counter(case.id.split("-x")[0] for case in found.cases)
    assert set(times) == {case.id for case in plain.cases}
    assert Counter(times.values())[3] >= 2 and min(times.values()) == 1
    report = found.provenance["curated"]
    assert (report["kept"], report["rows"], report["hardness"]) == (len(plain.cases), len(found.cases), 2)
    assert report["rows"] == sum(times.values()) > report["kept"]
    first = [case.id for case in found.cases[: len(found.cases) // 2]]
    assert any("-x" in name for name in first) and any("-x" not in name for name in first)
    again = run_curate(world, settings, {})
    assert (again / "part-00000.parquet").read_bytes() == (found.path / "part-00000.parquet").read_bytes()
    by_id = {case.id: case for case in plain.cases}
    assert all(np.array_equal(case.mask, by_id[case.id.split("-x")[0]].mask) for case in found.cases)


def test_hardness_needs_no_criterion(world):
    found = curated(world, OFF | {"hardness": 1})
    assert found.provenance["curated"]["kept"] == sum(KINDS.values()) < len(found.cases)
    twice = Counter(case.id.split("-")[0] for case in found.cases if case.id.endswith("-x2"))
    assert twice["wrong"] == KINDS["wrong"], "the filter disagrees with these most"


def test_a_set_that_loses_everything_says_to_what(world):
    cases = [case for case in read_dataset(world.root / "synthetic").cases if case.id.startswith("copy")]
    write_samples(world.root / "copies", cases, world.labels)
    with pytest.raises(
        InputError, match=r"none of 6 samples.*curate\.training_distance drops 6.*lower curate\.quantile"
    ):
        curated(world, OFF | {"training_distance": True}, synthetic=world.root / "copies")


def test_a_set_of_other_labels_or_patients_is_refused(world):
    some = read_dataset(world.root / "synthetic").cases[:4]
    write_samples(world.root / "fewer", [replace(case, parent=None, mask_source="user") for case in some], [])
    with pytest.raises(InputError, match="other labels than the filter"):
        curated(world, ON, synthetic=world.root / "fewer")
    write_samples(world.root / "strangers", [replace(case, patient="stranger") for case in some], world.labels)
    with pytest.raises(InputError, match="patient 'stranger'"):
        curated(world, ON, synthetic=world.root / "strangers")
    write_dataset(world.root / "short", world.labels[1:], role="train", structures=STRUCTURES)
    with pytest.raises(InputError, match=r"case 'case-000', a label of the filter"):
        curated(world, ON, train=world.root / "short")


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


@pytest.mark.parametrize(("clear", "left_out"), [(12, []), (10, []), (9, ["bone"]), (0, ["bone"])])
def test_only_labels_with_a_score_count_for_the_limit_of_rims(clear, left_out, monkeypatch, caplog):
    """Twelve labels, of which the symphysis is clear in some: ten scores it takes, not ten labels."""
    levels = iter(np.linspace(0, 0.1, 12))

    def imprints(case, *_):
        return np.array([next(levels) if case < clear else np.nan, 0.0]) if case < 12 else np.array([9.0, 0.0])

    monkeypatch.setattr("pipeline.quality.selection.gate.at_size", lambda case, size: (case,))
    monkeypatch.setattr("pipeline.quality.selection.gate.imprints", imprints)
    budget = SimpleNamespace(
        samples=SimpleNamespace(cases=[100, 101], structures=(Structure("bone"), Structure("head")), n_structures=2),
        labels=range(12), size=32,
    )  # fmt: skip
    found = broken_limits(budget, Gate(**dict.fromkeys(LIMITS) | {"imprint": 0.2}))
    assert [name for name in ("bone", "head") if f"leaves '{name}' out" in caplog.text] == left_out
    assert bool(found) == (not left_out)


def test_without_one_clear_outline_the_limit_of_rims_is_left_out(monkeypatch, caplog):
    monkeypatch.setattr("pipeline.quality.selection.gate.at_size", lambda case, size: (case,))
    monkeypatch.setattr("pipeline.quality.selection.gate.imprints", lambda *_: np.array([np.nan]))
    budget = SimpleNamespace(
        samples=SimpleNamespace(cases=[0], structures=STRUCTURES, n_structures=1), labels=range(12), size=32
    )
    assert broken_limits(budget, Gate(**dict.fromkeys(LIMITS) | {"imprint": 0.2})) == []
    assert (
        "gate.imprint leaves 'head' out: it needs 10 labels that show its outline clearly, the set has 0" in caplog.text
    )


@pytest.mark.parametrize(
    ("on_labels", "on_samples", "with_others", "told"),
    [
        ((0.0, 0.9), (0.0, 0.9), (0.0, 0.3), "is 0 on the labels and 0 with another sample's mask"),
        ((0.02, 0.9), (0.0, 0.9), (0.03, 0.3), "is 0.02 on the labels and 0.03 with another sample's mask"),
        ((0.8, 0.9), (0.0, 0.9), (0.0, 0.3), None),
        ((0.8, 0.9), (0.8, 0.9), (0.0, 0.3), ""),
    ],
)
def test_a_structure_that_the_filter_does_not_find_does_not_pass(on_labels, on_samples, with_others, told):
    """Its mask agreement has no scale then: no place on it is a pass."""
    budget = SimpleNamespace(
        samples=SimpleNamespace(cases=["s"] * 3, structures=(Structure("bone"), Structure("head"))),
        labels=["l"] * 4,
        agreement=lambda cases: np.array([on_labels if case == "l" else on_samples for case in cases]),
        shuffled_agreement=lambda cases: np.array([with_others for _ in cases]),
    )
    found = broken_limits(budget, Gate(**dict.fromkeys(LIMITS) | {"mask_agreement": 0.5}))
    if told == "":
        assert found == []
    elif told is None:
        assert found == [one for one in found if one.startswith("mask agreement of 'bone' is 0, 1.00 of the way")] != []
    else:
        (one,) = found
        assert one.startswith(f"mask agreement of 'bone' of the filter {told}: the filter does not find it; ")
        assert "gate.mask_agreement cannot be read: raise filter.steps" in one


@pytest.mark.parametrize("stage", [curate, gate])
def test_the_evaluation_network_selects_nothing(stage):
    given = set(inspect.signature(stage.run).parameters)
    assert given - {"page"} == {"params", "filter", "synthetic", "train", "unlabelled", "out"}
    assert set(stage.PARAMS) <= {"seed", "compute", "curate", "gate"}
