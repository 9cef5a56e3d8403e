"""The preflight of a folder: everything told at once, and what it says is what the stage does."""

import csv
import re

import numpy as np
import pytest
from PIL import Image

from pipeline.tools import check, command

SIZE = (120, 160)


def disc(radius: float = 30) -> np.ndarray:
    rows, columns = np.indices(SIZE)
    return ((rows - 60) ** 2 + (columns - 80) ** 2 <= radius**2).astype(np.uint8)


def speckle(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 255, SIZE).astype(np.uint8)


@pytest.fixture
def folder(tmp_path):
    """Six good cases of five patients."""
    root = tmp_path / "my images"
    for part in ("images", "masks"):
        (root / part).mkdir(parents=True)
    for i in range(6):
        Image.fromarray(speckle(i)).save(root / f"images/c{i}.png")
        Image.fromarray(disc()).save(root / f"masks/c{i}.png")
    write_cases(root, 0.5)
    return root


def write_cases(root, pixel_mm) -> None:
    lines = [f"c{i};p{min(i, 4)};{pixel_mm}" for i in range(6)]
    (root / "cases.csv").write_text("\n".join(["Id;Patient;Pixel_mm", *lines]))


def run(capsys, *argv) -> tuple[int, str]:
    try:
        command.main(check.add_arguments, check.run, [str(one) for one in argv])
        status = 0
    except SystemExit as end:
        status = end.code
    out, err = capsys.readouterr()
    return status, out + err


def spoil_image(root):
    (root / "images/c0.png").write_bytes((root / "images/c0.png").read_bytes()[:200])


def spoil_whole_mask(root):
    Image.fromarray(np.ones(SIZE, np.uint8)).save(root / "masks/c0.png")


def spoil_values(root):
    Image.fromarray(disc() * 3).save(root / "masks/c0.png")


def spoil_size(root):
    Image.fromarray(disc()[:100]).save(root / "masks/c0.png")


PROBLEMS = {
    "damaged image": (spoil_image, "c0: file 'images/c0.png' is not a readable image"),
    "lacking mask": (lambda root: (root / "masks/c0.png").unlink(), "images/c0.png: image without a mask"),
    "lonely mask": (lambda root: (root / "images/c0.png").unlink(), "mask without an image"),
    "whole mask": (spoil_whole_mask, "c0: share of the image (head) is 100 %"),
    "other values": (spoil_values, "mask holds values 0, 3"),
    "other size": (spoil_size, "c0: case 'c0': mask is 160x100 but its image is 160x120"),
    "table": (lambda root: (root / "cases.csv").write_text("id\nc1\n"), "has no row for image"),
    "weeks": (
        lambda root: (root / "cases.csv").write_text("id,ga_days\n" + "".join(f"c{i},2{i}\n" for i in range(6))),
        "no ga_days is above 25; give days, not weeks",
    ),
    "metres": (lambda root: write_cases(root, 0.0005), "c0: pixel size (the image) is 0.0005 mm"),
    "black image": (lambda r: Image.fromarray(0 * disc()).save(r / "images/c0.png"), "c0: number of grey levels"),
}


def test_a_good_folder_is_ready_and_has_a_page(folder, tmp_path, capsys):
    status, told = run(capsys, folder, "--out", tmp_path / "page")
    assert status == 0 and told.startswith("Ready. Reader: folder.")
    assert "images: 6\n" in told and "patients: 5, at most 2 images each" in told and "160 × 120 (6)" in told
    page = (tmp_path / "page/index.html").read_text()
    assert "reader: folder" in page and 'src="http' not in page and "data:image/png" in page
    rows = list(csv.DictReader((tmp_path / "page/cases.csv").open()))
    assert [row["case"] for row in rows] == [f"c{i}" for i in range(6)]
    assert float(rows[0]["head_share"]) == pytest.approx(disc().mean(), rel=1e-5)


def test_ages_are_told_with_their_source(folder, tmp_path, capsys):
    rows = [f"c{i},{140 + i}" if i else "c0," for i in range(6)]
    (folder / "cases.csv").write_text("\n".join(["id,ga_days", *rows]))
    status, told = run(capsys, folder, "--out", tmp_path / "page")
    assert status == 0 and "age, days: 141 to 145 (known of 5)" in told
    rows = list(csv.DictReader((tmp_path / "page/cases.csv").open()))
    assert [(row["ga_days"], row["ga_source"]) for row in rows[:2]] == [("", ""), ("141", "given")]


@pytest.mark.parametrize(("spoil", "text"), PROBLEMS.values(), ids=PROBLEMS)
def test_a_problem_is_told_and_the_rest_is_looked_at(folder, tmp_path, capsys, spoil, text):
    spoil(folder)
    status, told = run(capsys, folder, "--out", tmp_path / "page")
    assert status == 1 and told.startswith("Not ready: ") and text in told
    page = (tmp_path / "page/index.html").read_text()
    assert "Mend the problems" in page and "c5" in page


def test_all_problems_are_told_at_once(folder, capsys):
    spoil_image(folder)
    Image.fromarray(np.ones(SIZE, np.uint8)).save(folder / "masks/c1.png")
    (folder / "masks/c2.png").unlink()
    status, told = run(capsys, folder)
    assert status == 1 and "Not ready: 3 problems" in told and all(f"c{i}" in told for i in range(3))


def test_one_image_under_two_patients_is_a_warning_that_names_both(folder, capsys):
    Image.open(folder / "images/c0.png").save(folder / "images/c1.png", compress_level=1)
    status, told = run(capsys, folder)
    assert status == 0 and "the patients 'p0' and 'p1' are taken for one" in told
    assert "patients: 4," in told


def test_what_is_passed_over_is_told_but_hidden_files_are_not(folder, capsys):
    (folder / "notes.txt").write_text("x")
    (folder / "images/.DS_Store").write_bytes(b"x")
    status, told = run(capsys, folder)
    assert status == 0 and re.search(r"passed over: files ending in \.txt: 1, e\.g\. notes\.txt", told)
    assert "DS_Store" not in told


def test_images_alone_are_of_use_as_an_unlabelled_cohort(folder, capsys):
    for mask in (folder / "masks").iterdir():
        mask.unlink()
    status, told = run(capsys, folder)
    assert status == 0 and "masks: none" in told


def test_structures_name_the_values_of_the_masks(folder, capsys):
    Image.fromarray(disc() * 2).save(folder / "masks/c0.png")
    assert run(capsys, folder)[0] == 1
    status, told = run(capsys, folder, "--structures", "skull:head", "brain")
    assert status == 0 and "skull, % of the image" in told and "(in 1 masks)" in told


def test_deep_images_need_a_window(folder, tmp_path, capsys):
    Image.fromarray(speckle(0).astype(np.uint16) * 16).save(folder / "images/c0.png")
    status, told = run(capsys, folder)
    assert status == 1 and "window" in told
    for i in range(1, 6):
        Image.fromarray(speckle(i).astype(np.uint16) * 16).save(folder / f"images/c{i}.png")
    status, told = run(capsys, folder, "--window", "0", "4080", "--out", tmp_path / "page")
    assert status == 0 and "grey levels: 0 to 254" in told


@pytest.mark.parametrize(
    ("argv", "text"),
    [
        (["nowhere"], "raw data 'nowhere' are missing"),
        (["{folder}/masks"], "no reader knows these files"),
        (["{folder}", "--reader", "hc18"], "no reader knows these files; hc18: file"),
        (["{folder}", "--reader", "hc18", "--structures", "head"], "the reader 'hc18' knows its classes"),
        (["{folder}", "--structures", "head:foot"], "with the role head or symphysis"),
        (["{folder}", "--window", "9", "3"], "--window is 9 3; LOW must be less than HIGH"),
    ],
)
def test_what_cannot_be_looked_at_ends_with_2_and_the_reason(folder, capsys, caplog, argv, text):
    status, told = run(capsys, *(one.format(folder=folder) for one in argv))
    assert status == 2 and text in told + caplog.text and "Traceback" not in told
