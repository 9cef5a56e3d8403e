"""Angle and distance for a folder of masks: the table, the overlays, and what bad masks come to."""

import csv
import math

import numpy as np
import pytest
from PIL import Image

from pipeline.run.errors import InputError
from pipeline.tasks.segmentation.biometry.iugc2024 import iugc2024_biometry
from pipeline.tasks.segmentation.biometry.official import official_aop
from pipeline.tasks.segmentation.biometry.progression import measure_progression
from pipeline.tools import command as frame
from pipeline.tools import measure
from tests.tasks.bad_masks import FAILURES, GOOD, NOTES, SCENE

MASK = GOOD


def large():
    """The same scene at 512 pixels, in the values of IUGC."""
    doubled = MASK.repeat(2, axis=0).repeat(2, axis=1)
    return np.where(doubled > 0, doubled + 6, 0).astype(np.uint8)


def overlapping(values, summed):
    mask = np.where(MASK == 1, values[0], np.where(MASK == 2, values[1], 0)).astype(np.uint8)
    mask[100:110, 120:130] = summed
    return mask


FILES = {
    "good": MASK,
    "large": large(),
    "mirrored": MASK[:, ::-1],
    "summed": overlapping((1, 2), 3),
    "summed_iugc": overlapping((7, 8), 15),
    "mixed": overlapping((1, 2), 7),
    "other": MASK * 40,
    **{name: mask for name, (mask, _) in (FAILURES | NOTES).items()},
}
UNREAD = {
    "summed.png": "mask 'summed.png' holds the value 3, which two binary masks leave where they overlap and were added",
    "summed_iugc.png": "mask 'summed_iugc.png' holds the value 15, which two binary masks leave where they overlap",
    "mixed.png": "mask 'mixed.png' holds values 0, 1, 2, 7: 7 and 8 are pubic symphysis and fetal head",
    "other.png": "mask 'other.png' holds the values 40, 80; expected are 1 (symphysis) and 2 (head) or 7 (symphysis)",
    "smeared.jpg": "mask 'smeared.jpg' is a JPEG",
    "torn.png": "file 'torn.png' is not a readable image",
}
ERRORS = {f"{name}.png": failure for name, (_, failure) in FAILURES.items()} | UNREAD


@pytest.fixture
def folder(tmp_path):
    masks = tmp_path / "masks"
    masks.mkdir()
    for name, mask in FILES.items():
        Image.fromarray(mask).save(masks / f"{name}.png")
    Image.fromarray(MASK).save(masks / "smeared.jpg")
    (masks / "torn.png").write_bytes((masks / "good.png").read_bytes()[:100])
    return tmp_path


@pytest.fixture
def command(folder, caplog):
    """Run the command; its exit status and the rows of its table by file."""

    def call(*options, masks=folder / "masks"):
        out, status = folder / f"out{len(list(folder.iterdir()))}", 0
        arguments = ["--masks", masks, "--out", out, *options]
        with caplog.at_level("INFO"):
            try:
                frame.main(measure.add_arguments, measure.run, list(map(str, arguments)))
            except SystemExit as left:
                status = left.code
        if not out.is_dir():
            return status, {}, out
        with (out / "measurements.csv").open(newline="") as file:
            return status, {row["file"]: row for row in csv.DictReader(file)}, out

    return call


def test_no_mask_stops_the_folder(command):
    status, rows, out = command()
    assert status == 1
    assert set(rows) == {*(f"{name}.png" for name in FILES), "smeared.jpg", "torn.png"}
    for name, text in ERRORS.items():
        assert rows[name]["error"].startswith(str(text)) and rows[name]["aop_deg"] == rows[name]["hsd_px"] == ""
    measured = set(rows) - set(ERRORS)
    assert not any(rows[name]["error"] for name in measured)
    for name, (_, note) in NOTES.items():
        assert float(rows[f"{name}.png"]["aop_deg"]) > 0 and rows[f"{name}.png"]["warning"] == note
    assert rows["round_head.png"]["head_direction_deg"] == "" != rows["round_head.png"]["circumference_px"]
    # A failure is drawn too; only what cannot be read has no picture.
    assert {path.name for path in (out / "overlays").iterdir()} == set(rows) - set(UNREAD)


def test_the_table_holds_the_measurement(command):
    _, rows, _ = command("--pixel-mm", "0.2")
    found, row = measure_progression(MASK == 1, MASK == 2), rows["good.png"]
    assert float(row["aop_deg"]) == round(found.aop_deg, 2) == pytest.approx(SCENE.aop(), abs=0.4)
    assert float(row["hsd_px"]) == round(found.hsd_px, 2)
    assert float(row["hsd_mm"]) == pytest.approx(0.2 * found.hsd_px, abs=0.006)
    assert float(row["hsd_infrapubic_mm"]) == pytest.approx(0.2 * found.hsd_infrapubic_px, abs=0.006)
    assert float(row["head_direction_deg"]) == round(found.head_direction_deg, 2)
    around = math.pi * (3 * 112 - math.sqrt((3 * 60 + 52) * (60 + 3 * 52)))
    assert float(row["circumference_mm"]) == pytest.approx(0.2 * around, rel=0.01)
    assert row["warning"] == ""
    # Another size and other values, the same angle.
    assert float(rows["large.png"]["aop_deg"]) == pytest.approx(found.aop_deg, abs=0.2)
    assert float(rows["large.png"]["hsd_px"]) == pytest.approx(2 * found.hsd_px, abs=0.4)
    assert rows["two_symphyses.png"]["aop_deg"] == rows["two_heads.png"]["aop_deg"] == row["aop_deg"]


def test_a_declared_mirror(command):
    right, left = (command("--head-side", side)[1] for side in ("right", "left"))
    assert left["mirrored.png"]["aop_deg"] == right["good.png"]["aop_deg"]
    assert right["mirrored.png"]["aop_deg"] != right["good.png"]["aop_deg"]


def test_named_values(command):
    _, rows, _ = command("--values", "40", "80")
    assert rows["other.png"]["error"] == "" and "holds the values 1, 2; expected are 40" in rows["good.png"]["error"]


def test_overlays_show_the_image_and_the_lines(command, folder):
    images = folder / "images"
    images.mkdir()
    Image.fromarray(np.full(MASK.shape, 90, np.uint8)).save(images / "good.bmp")
    Image.fromarray(np.full((20, 20), 90, np.uint8)).save(images / "cut_head.png")
    _, rows, out = command("--images", images)
    picture = np.asarray(Image.open(out / "overlays/good.png"))
    assert picture.shape == (512, 512, 3) and (picture[400:, :40] == 90).all()
    # The middle of the axis, at twice the size, is drawn over the image.
    assert (picture[119:123, 180] == (120, 255, 120)).all(axis=-1).any()
    assert not rows["large.png"]["error"]


def test_an_image_that_cannot_be_shown_costs_no_measurement(command, folder):
    images = folder / "images"
    images.mkdir()
    Image.fromarray(np.full((20, 20), 90, np.uint8)).save(images / "cut_head.png")
    (images / "good.png").write_bytes(b"nonsense")
    _, plain, _ = command()
    _, rows, out = command("--images", images)
    for name, why in (
        ("cut_head", "the mask has 256 x 200 pixels, the image 20 x 20"),
        ("good", "file 'good.png' is not a readable image"),
    ):
        row, before = rows[f"{name}.png"], plain[f"{name}.png"]
        assert f"overlay without its image: {why}" in row["warning"]
        assert {key: value for key, value in row.items() if key != "warning"} == {
            key: value for key, value in before.items() if key != "warning"
        }
        assert row["aop_deg"] and not row["error"] and (out / f"overlays/{name}.png").exists()


@pytest.mark.parametrize("shape", [(4, 4000), (4000, 4), (30, 700), (100, 60)])
def test_overlays_of_any_shape_stay_small(shape):
    mask = np.zeros(shape, np.uint8)
    mask[: max(1, shape[0] // 3), : max(1, shape[1] // 3)] = 1
    picture = measure.overlay(mask * 0, mask, measure_progression(mask == 1, mask == 2))
    assert max(picture.shape) == max(512, *shape)


def stored_volume(path, mask, spacing):
    """The mask as MetaImage with a size of its pixels (x, y)."""
    head = f"ObjectType = Image\nNDims = 2\nBinaryData = True\nDimSize = {mask.shape[1]} {mask.shape[0]}\n"
    head += f"ElementType = MET_UCHAR\nElementSpacing = {spacing[0]} {spacing[1]}\nElementDataFile = LOCAL\n"
    path.write_bytes(head.encode() + mask.tobytes())


def test_the_pixel_size_of_a_mask_is_the_files_own(command, folder):
    volumes = folder / "volumes"
    volumes.mkdir()
    stored_volume(volumes / "sized.mha", MASK, (0.2, 0.2))
    stored_volume(volumes / "unsized.mha", MASK, (1, 1))
    stored_volume(volumes / "oblong.mha", MASK, (0.2, 0.3))
    status, rows, _ = command(masks=volumes)
    assert status == 1
    assert float(rows["sized.mha"]["hsd_mm"]) == pytest.approx(0.2 * float(rows["sized.mha"]["hsd_px"]), abs=0.006)
    assert rows["sized.mha"]["circumference_mm"] and not rows["unsized.mha"]["hsd_mm"]
    assert "'oblong.mha' has pixels of 0.2 x 0.3 mm; resample it to square pixels" in rows["oblong.mha"]["error"]
    assert not rows["oblong.mha"]["aop_deg"]
    _, rows, _ = command("--pixel-mm", "0.4", masks=volumes)
    assert "says its pixels are 0.2 mm, and 0.4 mm is given" in rows["sized.mha"]["error"]
    assert float(rows["unsized.mha"]["hsd_mm"]) == pytest.approx(0.4 * float(rows["unsized.mha"]["hsd_px"]), abs=0.006)


@pytest.mark.parametrize("side", ["right", "left"])
def test_a_folder_is_measured_as_a_challenge_measures(command, side):
    name, mask = ("good", MASK) if side == "right" else ("mirrored", MASK)
    official, later = (command("--geometry", g, "--head-side", side)[1] for g in ("official", "iugc2024"))
    assert float(official[f"{name}.png"]["aop_deg"]) == round(official_aop(mask == 1, mask == 2), 2)
    expected = iugc2024_biometry(mask == 1, mask == 2)
    assert [float(later[f"{name}.png"][key]) for key in ("aop_deg", "hsd_px")] == [round(one, 2) for one in expected]
    # The evaluator belongs to 256 pixels.
    if side == "right":
        assert official["large.png"]["aop_deg"] == official["good.png"]["aop_deg"]
    assert official[f"{name}.png"]["hsd_px"] == later[f"{name}.png"]["head_direction_deg"] == ""
    assert (
        official["no_head.png"]["error"] == "the evaluator of the PSFHS challenge finds no angle (it scores 0 degrees)"
    )
    assert later["no_head.png"]["error"] == "the evaluator of IUGC 2024 finds no angle"


def test_bad_usage(command, folder):
    empty = folder / "empty"
    empty.mkdir()
    assert command(masks=empty)[0] == command("--values", "2", "2")[0] == command("--pixel-mm", "9")[0] == 2
    with pytest.raises(InputError, match="--values is 2 twice"):
        measure.run(frame.build_parser(measure.add_arguments).parse_args(
            ["--masks", str(empty), "--out", str(folder / "new"), "--values", "2", "2"]
        ))  # fmt: skip
