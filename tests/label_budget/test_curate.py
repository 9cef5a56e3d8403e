"""Planted copies, wrong masks and noise are gone from a curated set, each by the criterion meant for it."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from pipeline import curate
from pipeline.config.params import View
from pipeline.config.quality import Curate
from pipeline.data.dataset import read_dataset
from pipeline.data.writer import write_dataset
from pipeline.run import files
from pipeline.run.errors import InputError
from pipeline.run.stage import execute
from tests.label_budget.planted import KINDS, STRUCTURES, sample, samples, shifted, write_samples

OFF = {"quantile": 0.05, "mask_agreement": False, "plausibility": False, "training_distance": False, "hardness": 0}
ON = OFF | {"mask_agreement": True, "plausibility": True, "training_distance": True}


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
