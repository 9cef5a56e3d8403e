"""A raw cohort becomes a dataset: what is merged, told, split; in flat memory."""

import json
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.cohorts.preparation import prepare_cohort
from pipeline.config.cohorts import Cohort
from pipeline.data.dataset import read_dataset
from pipeline.run.errors import InputError
from tests.cohorts import fabricated
from tests.cohorts.reading import HEAD, TWO

SPLITS = {"evaluation": 0.2, "train": 0.4, "val": 0.2, "test": 0.2}
PSFHS = {"reader": "psfhs", "structures": {"pubic_symphysis": "symphysis", "fetal_head": "head"}}
SPECKLE = fabricated.Speckle(60, 80)


def prepare(raw, out, task=HEAD, seed=0, name="mine", **settings):
    values = {"role": "foreign", "reader": "folder", "raw": str(raw), "labelled": True} | settings
    prepare_cohort(out, name, Cohort.model_validate(values), task, raw, seed)
    return read_dataset(out)


def write(root, images, patients=None, masks=True):
    """images: id → number of the image that it shows."""
    for folder in ("images", "masks") if masks else ("images",):
        (root / folder).mkdir(parents=True, exist_ok=True)
    mask = (fabricated.disc(60, 80, 30, 20) <= 1).astype(np.uint8)
    for name, number in images.items():
        Image.fromarray(SPECKLE.image(number)).save(root / "images" / f"{name}.png")
        if masks:
            Image.fromarray(mask).save(root / "masks" / f"{name}.png")
    if patients:
        rows = "".join(f"{name},{patient}\n" for name, patient in zip(images, patients, strict=True))
        (root / "cases.csv").write_text("id,patient\n" + rows)
    return root


def test_patients_that_share_an_image_are_one_and_never_apart(tmp_path, caplog):
    images = {f"c{i}": i for i in range(20)} | {"twin": 3}
    raw = write(tmp_path / "raw", images, [f"p{i}" for i in range(20)] + ["q"])
    dataset = prepare(raw, tmp_path / "out", role="train", splits=SPLITS)
    patients = {case.id: (case.patient, case.split) for case in dataset.cases}
    assert patients["twin"] == patients["c3"] and patients["twin"][0] == "p3"
    assert len({patient for patient, _ in patients.values()}) == dataset.source["patients"] == 20
    card = (tmp_path / "out" / "README.md").read_text()
    assert "- equal: c3 and twin (patients p3 and q)\n- one patient: p3, q; named p3\n" in card
    assert "cohort 'mine': 1 doubles, the first: cases 'c3' and 'twin' (equal)" in caplog.text
    assert "2 patients are merged into 1, the first: p3 and q, named p3" in caplog.text


@pytest.mark.parametrize("seed", [0, 1, 7])
def test_splits_are_those_of_the_patients_in_order_where_nothing_is_merged(tmp_path, seed):
    """The rule since the first version: patients sorted by name, drawn by one permutation, cut at rounded shares."""
    from pipeline.run import seeds

    raw = write(tmp_path / "raw", {f"c{i}": i for i in range(12)}, [f"p{i // 2}" for i in range(12)])
    dataset = prepare(raw, tmp_path / "out", seed=seed, role="train", splits=SPLITS)
    order = seeds.numpy_generator(seed, "splits").permutation(6)
    splits = ["evaluation", "train", "train", "train", "val", "test"]
    expected = {f"p{number}": split for number, split in zip(order, splits, strict=True)}
    assert {case.patient: case.split for case in dataset.cases} == expected


def test_what_is_passed_over_and_warned_of_is_in_the_card(tmp_path, caplog):
    raw = write(tmp_path / "raw", {"a": 0, "b": 1})
    (raw / "a.txt").write_text("x")
    (raw / "b.txt").write_text("x")
    (raw / "cases.csv").write_text("id,pixel_mm\na,1.2\nb,0.5\n")
    source = prepare(raw, tmp_path / "out").source
    assert source["passed_over"] == [{"what": "files ending in .txt", "count": 2, "first": "a.txt"}]
    assert [(one["case"], one["text"].split(" is ")[0]) for one in source["warnings"]] == [
        ("a", "shorter side (the image)"), ("a", "pixel size (the image)"), ("b", "shorter side (the image)"),
    ]  # fmt: skip
    assert "cohort 'mine': 2 files ending in .txt are passed over, the first: 'a.txt'" in caplog.text
    assert "3 warnings, the first: case 'a': shorter side (the image) is 60 px, below 64" in caplog.text
    card = (tmp_path / "out" / "README.md").read_text()
    assert "- 2 files ending in .txt, the first: `a.txt`" in card and "No equal or re-encoded images." in card


def test_an_unlabelled_cohort_says_which_masks_are_not_read(tmp_path):
    raw = write(tmp_path / "raw", {"a": 0, "b": 1})
    dataset = prepare(raw, tmp_path / "out", role="unlabelled", labelled=False)
    assert dataset.source["passed_over"] == [
        {"what": "masks of an unlabelled cohort", "count": 2, "first": "masks/a.png"}
    ]
    assert {(case.mask, case.split) for case in dataset.cases} == {(None, "train")}


def prepare_frames(tmp_path, caplog, run=12, count=96, **settings):
    """PSFHS of runs of neighbouring frames; log text, card and dataset."""
    fabricated.psfhs(tmp_path / "raw", count, run)
    data = prepare(tmp_path / "raw", tmp_path / "out", TWO, **PSFHS, **settings)
    return data, caplog.text, (tmp_path / "out" / "README.md").read_text()


@pytest.mark.parametrize("by", ["patients", "blocks"])
def test_neighbouring_frames_are_on_one_side_of_a_split(tmp_path, caplog, by):
    data, log, card = prepare_frames(tmp_path, caplog, role="train", splits=SPLITS | {"by": by}, near_doubles="merge")
    sides = {}
    for i, case in enumerate(data.cases):
        sides.setdefault(i // 12, set()).add((case.patient, case.split))
    assert len(sides) == data.source["patients"] == 8 and {len(side) for side in sides.values()} == {1}
    assert {case.split for case in data.cases} == set(SPLITS)
    assert data.source["near"]["across_splits"] == 0 and "lie in two splits" not in log
    assert "None of the near pairs lies in two splits." in card


def test_a_block_is_of_consecutive_file_numbers(tmp_path, caplog):
    """Runs of ten frames, blocks of 48, 24, 0 and 24 of 96 images: runs across a boundary go to one side as a whole."""
    shares = {"evaluation": 0.5, "train": 0.25, "val": 0, "test": 0.25, "by": "blocks"}
    data, *_ = prepare_frames(tmp_path, caplog, run=10, role="train", splits=shares, near_doubles="merge")
    splits = [case.split for case in data.cases]
    assert splits == ["evaluation"] * 50 + ["train"] * 20 + ["test"] * 26


def test_near_pairs_in_two_splits_are_counted(tmp_path, caplog):
    raw = write(tmp_path / "raw", {})
    for i, frame in enumerate(fabricated.frames(fabricated.Speckle(60, 80), 24, 12)):
        write(raw, {f"c{i:02d}": 0})
        Image.fromarray(frame).save(raw / "images" / f"c{i:02d}.png")
    data = prepare(raw, tmp_path / "out", role="train", splits=SPLITS)
    splits = [case.split for case in data.cases]
    pairs = [(i, j) for k in (0, 12) for i in range(k, k + 12) for j in range(i + 1, k + 12)]
    expected = sum(splits[i] != splits[j] for i, j in pairs)
    assert data.source["near"]["across_splits"] == expected > 0
    assert (
        f"{expected} near pairs of images lie in two splits; near_doubles: merge keeps them on one side" in caplog.text
    )
    assert f"{expected} of the near pairs lie in two splits." in (tmp_path / "out" / "README.md").read_text()


def test_the_remarks_of_a_reader_are_in_log_and_card(tmp_path, caplog):
    fabricated.psfhs(tmp_path / "raw", 12)
    data = prepare(tmp_path / "raw", tmp_path / "out", TWO, **(PSFHS | {"reader": "fh_ps_aop"}))
    (remark,) = data.source["remarks"]
    assert f"cohort 'mine': {remark}" in caplog.text
    assert f"## Warnings\n\n- all cases: {remark}\n" in (tmp_path / "out" / "README.md").read_text()


@pytest.mark.parametrize("labelled", [True, False])
def test_a_foreign_cohort_needs_no_class_for_every_structure_where_it_need_not_be_labelled(tmp_path, labelled):
    raw = write(tmp_path / "raw", {"a": 0, "b": 1})
    (raw / "masks" / "b.png").write_bytes(b"not opened")
    settings = {"classes": ("background", "skull"), "structures": {"skull": "head"}, "labelled": labelled}
    if labelled:
        with pytest.raises(InputError, match="no class of the cohort .* is the structure 'symphysis'"):
            prepare(raw, tmp_path / "out", TWO, **settings)
        return
    data = prepare(raw, tmp_path / "out", TWO, **settings)
    assert {(case.mask, case.split) for case in data.cases} == {(None, "test")}
    (left,) = data.source["passed_over"]
    assert left["what"].startswith("masks that lack a structure of the task") and left["count"] == 2


def test_equal_cohorts_give_equal_bytes(tmp_path):
    raw = write(tmp_path / "raw", {f"c{i}": i for i in range(40)})
    for out in ("one", "two"):
        prepare(raw, tmp_path / out, role="train", splits=SPLITS)
    first, second = (sorted((tmp_path / out).rglob("*")) for out in ("one", "two"))
    assert [path.name for path in first] == [path.name for path in second]
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]
    assert not (tmp_path / "one" / "drafts").exists()


def test_too_few_patients_for_a_split(tmp_path):
    raw = write(tmp_path / "raw", {f"c{i}": i for i in range(3)})
    with pytest.raises(InputError, match=r"split 'evaluation' gets no patient out of 2|gets no patient out of 3"):
        prepare(raw, tmp_path / "out", role="train", splits=SPLITS | {"train": 0.55, "val": 0.05})


def test_the_spanish_cohort_as_it_is_published(tmp_path):
    """A small one with its faults: an image under two patients, repeated ones within patients."""
    raw = fabricated.spanish(tmp_path / "raw", 60, size=(66, 96))
    dataset = prepare(raw, tmp_path / "out", reader="fetal_planes", role="train", splits=SPLITS)
    source = dataset.source
    within = [one for one in source["doubles"] if one["patients"][0] == one["patients"][1]]
    assert (len(dataset.cases), len(source["merged_patients"]), len(within)) == (60, 1, 14)
    (one,) = (one for one in source["doubles"] if one not in within)
    assert one["patients"] == source["merged_patients"][0] and source["public_patients"]


@pytest.mark.slow
def test_whole_public_cohorts_prepare(tmp_path):
    """Fabricated, in their publishers' layouts, sizes and faults."""
    fabricated.hc18(tmp_path / "hc18", 999)
    data = prepare(tmp_path / "hc18", tmp_path / "out1", reader="hc18", role="train", splits=SPLITS)
    assert (len(data.cases), data.source["patients"]) == (999, 800)
    assert data.source["warnings"] == data.source["doubles"] == data.source["passed_over"] == []
    shutil.rmtree(tmp_path / "hc18")

    fabricated.spanish(tmp_path / "spanish", 555)
    data = prepare(tmp_path / "spanish", tmp_path / "out2", reader="fetal_planes", role="held_out")
    told = Counter(one["patients"][0] == one["patients"][1] for one in data.source["doubles"])
    assert (len(data.cases), told, len(data.source["merged_patients"])) == (555, {True: 14, False: 1}, 1)
    shutil.rmtree(tmp_path / "spanish")

    fabricated.psfhs(tmp_path / "psfhs", 1358)
    data = prepare(
        tmp_path / "psfhs", tmp_path / "out3", TWO, **PSFHS, role="train", splits=SPLITS, near_doubles="merge"
    )
    near = data.source["near"]
    assert (len(data.cases), data.source["patients"], near["apart"]) == (1358, 114, 0)
    assert Counter(map(len, near["groups"])) == {12: 113, 2: 1}

    fabricated.african(tmp_path / "african", 125, 325)
    data = prepare(tmp_path / "african", tmp_path / "out4", reader="fetal_planes", labelled=False)
    assert (len(data.cases), data.source["patients"]) == (125, 125)
    assert data.source["passed_over"][0]["count"] == 325


MEASURE = """
import resource, sys
from pathlib import Path
from pipeline.cohorts.preparation import prepare_cohort
from pipeline.config.cohorts import Cohort
from pipeline.data.structures import Structure
raw, out = map(Path, sys.argv[1:])
settings = {"role": "held_out", "reader": "fetal_planes", "raw": str(raw), "labelled": True}
prepare_cohort(out, "x", Cohort.model_validate(settings), (Structure("head", "head"),), raw, 0)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.slow
def test_memory_does_not_grow_with_the_cohort(tmp_path, root: Path):
    """Peak at 2,000 cases against that at 200: images of 959x661 in true colour, as the Spanish ones."""
    peak = {}
    for count in (200, 2000):
        raw = fabricated.spanish(tmp_path / f"raw{count}", count)
        command = [sys.executable, "-c", MEASURE, raw, tmp_path / f"out{count}"]
        run = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
        peak[count] = int(run.stdout)
        shutil.rmtree(raw)
    print(json.dumps(peak))
    assert peak[2000] <= 1.2 * peak[200]


def test_a_cohort_that_is_declared_mirrored_is_turned_back(tmp_path):
    """Images and masks; and the provenance says so."""
    raw, turned = write(tmp_path / "raw", {"a": 1, "b": 2}), tmp_path / "turned"
    for path in raw.rglob("*.png"):
        target = turned / path.relative_to(raw)
        target.parent.mkdir(parents=True, exist_ok=True)
        Image.open(path).transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(target)
    plain = prepare(raw, tmp_path / "plain")
    back = prepare(turned, tmp_path / "back", mirrored=True)
    for one, other in zip(plain.cases, back.cases, strict=True):
        assert np.array_equal(one.image, other.image) and np.array_equal(one.mask, other.mask)
    assert back.provenance["mirrored"] is True and "mirrored" not in plain.provenance
