"""Masks, overlays and measurements for a folder of images."""

# Fixtures are imported.
# ruff: noqa: F811

import math
import shutil

import numpy as np
import pytest
from PIL import Image
from scipy.special import ellipe

from pipeline.data.case import Case
from pipeline.data.structures import Structure, names
from pipeline.imaging.contact_sheet import CONTOUR_COLOURS
from pipeline.networks.sam import checkpoint
from pipeline.networks.segmenter import load_segmenter, save_segmenter
from pipeline.tasks.metrics import PAIR
from pipeline.tasks.segmentation import inference
from pipeline.tasks.segmentation.biometry.progression import measure_progression
from pipeline.tools.segment import COLUMNS, PAIR_COLUMNS, measure
from tests.tasks.scenes import Oval, Scene
from tests.tools.segmenting import PICTURES, STRUCTURES, command, environment, images, model, picture, table  # noqa: F401


def native_masks(model, images) -> dict[str, np.ndarray]:
    """What :func:`predict_native` says of the same files, each decoded by Pillow alone."""
    network, config = load_segmenter(checkpoint, model, "cpu", model.parent / "sam")
    greys = {name: np.asarray(Image.open(images / name).convert("L")) for name in PICTURES}
    cases = [Case(name, "", "", grey, None) for name, grey in greys.items()]
    return {case.id: inference.predict_native(network, [case], config["image_size"], "cpu")[0] for case in cases}


def test_masks_are_those_of_the_segmenter_at_native_size(command, images, model, tmp_path):
    assert command()[0] == 0
    expected = native_masks(model, images)
    assert set(np.unique(np.concatenate([mask.ravel() for mask in expected.values()]))) == {0, 1, 2}
    for name, (width, height, _) in PICTURES.items():
        mask = picture(tmp_path, "masks", name)
        assert mask.shape == (height, width) and mask.dtype == np.uint8
        np.testing.assert_array_equal(mask, expected[name])
    for kind in ("masks", "overlays"):
        assert len(list((tmp_path / "out" / kind).iterdir())) == len(PICTURES)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["masks", "measurements.csv", "overlays"]


def test_overlay_is_the_image_except_on_the_contours(command, images, tmp_path):
    command()
    mask, overlay = (picture(tmp_path, kind, "wide.png").astype(int) for kind in ("masks", "overlays"))
    grey = np.asarray(Image.open(images / "wide.png")).astype(int)
    assert overlay.shape == (*grey.shape, 3)
    changed = (overlay != grey[..., None]).any(axis=-1)
    for k in (1, 2):
        region = np.pad(mask == k, 1)
        inner = region[:-2, 1:-1] & region[2:, 1:-1] & region[1:-1, :-2] & region[1:-1, 2:]
        edge = (mask == k) & ~inner
        assert edge.any() and not changed[(mask == k) & inner].any()
        np.testing.assert_array_equal(overlay[edge], (grey[edge][:, None] + CONTOUR_COLOURS[k - 1]) // 2)
    assert not changed[mask == 0].any()


def test_table_has_a_row_per_image_and_structure(command, tmp_path):
    command()
    rows = table(tmp_path)
    assert tuple(rows[0]) == COLUMNS
    assert [(row["file"], row["structure"]) for row in rows] == [
        (name, structure) for name in sorted(PICTURES) for structure in names(STRUCTURES)
    ]
    for row in rows:
        mask = picture(tmp_path, "masks", row["file"])
        area = int((mask == names(STRUCTURES).index(row["structure"]) + 1).sum())
        assert int(row["area_px"]) == area
        assert float(row["area_share"]) == pytest.approx(area / mask.size, abs=1e-6)
        assert bool(row["circumference_px"]) == (row["structure"] == "head" and area > 0)
        assert row["circumference_mm"] == row["error"] == ""
    assert any(row["circumference_px"] for row in rows)


@pytest.mark.parametrize(("a", "b"), [(80, 80), (90, 60)])
def test_circumference_of_an_ellipse(a, b):
    y, x = np.mgrid[:260, :320] - np.array([131.3, 158.6])[:, None, None]
    turned = x * math.cos(0.4) + y * math.sin(0.4), y * math.cos(0.4) - x * math.sin(0.4)
    mask = 2 * ((turned[0] / a) ** 2 + (turned[1] / b) ** 2 <= 1).astype(np.uint8)
    perimeter = 4 * a * ellipe(1 - (b / a) ** 2)
    other, head = measure(mask, STRUCTURES, 0.12)
    assert head["structure"] == "head"
    assert head["area_px"] == pytest.approx(math.pi * a * b, rel=2e-3)
    assert head["area_share"] == pytest.approx(math.pi * a * b / (260 * 320), rel=2e-3)
    assert head["circumference_px"] == pytest.approx(perimeter, rel=2e-3)
    assert head["circumference_mm"] == pytest.approx(0.12 * perimeter, rel=2e-3)
    assert other == {"structure": "pubic_symphysis", "area_px": 0, "area_share": 0.0}
    assert measure(mask, STRUCTURES, None)[1]["circumference_mm"] is None
    assert "circumference_px" not in measure(0 * mask, STRUCTURES, 0.12)[1]


def test_failures_get_their_row_and_stop_nothing(command, images, tmp_path):
    wide = (images / "wide.png").read_bytes()
    longest = "z" * 250 + ".png"
    (images / "broken.png").write_bytes(wide[:200])
    (images / "dangling.png").symlink_to("nowhere")
    (images / "nonsense.mha").write_bytes(b"nonsense")
    Image.fromarray(np.zeros((8, 8), np.uint16)).save(images / "sixteen.png")
    (images / longest).write_bytes(wide)
    status, messages = command()
    count = len(PICTURES) + 1
    assert status == 1 and f"{count} of {count + 4} images segmented" in messages and "4 failed" in messages
    rows = table(tmp_path)
    errors = {row["file"]: row for row in rows if row["error"]}
    assert list(errors) == ["broken.png", "dangling.png", "nonsense.mha", "sixteen.png"]
    parts = ("'broken.png' is not a readable image", "No such file", "its content is none of", "--window")
    for part, row in zip(parts, errors.values(), strict=True):
        assert part in row["error"]
        assert not any(value for key, value in row.items() if key not in ("file", "error"))
    assert str(tmp_path) not in (tmp_path / "out/measurements.csv").read_text()
    assert [row["file"] for row in rows] == sorted(row["file"] for row in rows)
    assert len(rows) == 4 + 2 * count
    for kind in ("masks", "overlays"):
        written = {path.stem for path in (tmp_path / "out" / kind).iterdir()}
        assert written == {name.rsplit(".", 1)[0] for name in (*PICTURES, longest)}


def test_one_image_that_breaks_the_network_leaves_the_others_alone(command, tmp_path, monkeypatch):
    whole = inference.predict_native

    def fragile(network, cases, size, device):
        if any(case.id == "small" for case in cases):
            raise RuntimeError("out of\n memory")
        return whole(network, cases, size, device)

    monkeypatch.setattr(inference, "predict_native", fragile)
    assert command()[0] == 1
    rows = table(tmp_path)
    assert [(row["file"], row["error"]) for row in rows if row["error"]] == [
        ("small.jpg", "RuntimeError: out of memory")
    ]
    assert len(list((tmp_path / "out/masks").iterdir())) == len(PICTURES) - 1


def test_images_are_segmented_one_by_one_and_a_run_that_is_ended_leaves_nothing(command, tmp_path, monkeypatch):
    whole, calls = inference.predict_native, []

    def watched(network, cases, size, device):
        calls.append((len(cases), len(list(tmp_path.rglob("masks/*.png")))))
        if len(calls) == 3:
            raise KeyboardInterrupt
        return whole(network, cases, size, device)

    monkeypatch.setattr(inference, "predict_native", watched)
    assert command()[0] == 130
    assert calls == [(1, 0), (1, 1), (1, 2)]
    assert not (tmp_path / "out").exists()


def test_bad_usage(command, images, model, tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    (empty / "notes.txt").write_text("no image")
    (empty / ".hidden.png").write_bytes(b"")
    (empty / "folder.png").mkdir()
    for options, changes, message in (
        ((), {"images": empty}, "empty: no images there; put"),
        ((), {"images": tmp_path / "missing"}, "missing: no images there; put"),
        (("--pixel-mm", "5"), {}, "--pixel-mm is 5; the edge of a pixel must be from 0.005 to 2 mm"),
        ((), {"model": empty}, "empty/segmenter.json: no such file; run the stage"),
        (("--pixel-mm", "-1"), {}, "--pixel-mm is '-1'; it must be a number above 0"),
        (("--pixel-sizes", str(empty / "sizes.csv")), {}, "sizes.csv: no such file; name a table"),
    ):
        status, messages = command(*options, **changes)
        assert status == 2 and message in messages, options or changes
        assert not (tmp_path / "out").exists()
    assert command("--pixel-mm", "1", "--pixel-sizes", "sizes.csv")[0] == 2


def test_output_that_is_not_an_empty_folder(command, tmp_path):
    out = tmp_path / "out"
    out.write_text("mine")
    status, messages = command()
    assert status == 2 and "out exists and is not an empty folder" in messages and out.read_text() == "mine"
    out.unlink()
    (out / "masks").mkdir(parents=True)
    status, messages = command()
    assert status == 2 and "out exists and is not an empty folder" in messages
    assert not any((out / "masks").iterdir())
    (out / "masks").rmdir()
    assert command()[0] == 0


def test_two_images_of_one_name_are_refused(command, images, tmp_path):
    (images / "wide.bmp").write_bytes(b"another")
    status, messages = command()
    assert status == 2 and "'wide.bmp' and 'wide.png' would share one mask; rename or remove one" in messages
    assert not (tmp_path / "out").exists()


def test_other_files_are_counted_and_named(command, images, tmp_path):
    for name in ("scan.mhd", "notes.txt", "._wide.png", ".DS_Store", "Thumbs.db", "more/a.png", "more/deep/b.png"):
        (images / name).parent.mkdir(parents=True, exist_ok=True)
        (images / name).write_bytes(b"else")
    status, messages = command()
    assert status == 0
    assert "2 files in subfolders are passed over: 'more/a.png', 'more/deep/b.png'" in messages
    assert "2 files end in none of" in messages and "are passed over: 'notes.txt', 'scan.mhd'" in messages
    assert not any(name in messages for name in ("._wide", "DS_Store", "Thumbs"))
    assert {row["file"] for row in table(tmp_path)} == set(PICTURES)


def test_a_folder_and_images_that_are_links(command, images, tmp_path):
    (tmp_path / "link").symlink_to(images)
    (images / "linked.png").symlink_to(images / "wide.png")
    assert command(images=tmp_path / "link")[0] == 0
    np.testing.assert_array_equal(picture(tmp_path, "masks", "linked.png"), picture(tmp_path, "masks", "wide.png"))


def test_a_head_that_no_fetus_has_is_marked(command, tmp_path):
    y, x = np.mgrid[:260, :320]
    mask = 2 * (np.hypot(y - 130, x - 160) <= 100).astype(np.uint8)
    for pixel_mm, marked in ((0.02, True), (0.05, False), (0.5, False), (1.2, True)):
        assert ("warning" in measure(mask, STRUCTURES, pixel_mm)[1]) == marked
    status, messages = command("--pixel-mm", "0.005")
    heads = [row for row in table(tmp_path) if row["circumference_mm"]]
    assert status == 0 and "no fetal head measures" in messages
    assert heads and all("no fetal head measures" in row["warning"] for row in heads)


def test_a_window_for_more_than_eight_bits(command, images, tmp_path):
    deep = tmp_path / "deep"
    deep.mkdir()
    grey = np.asarray(Image.open(images / "wide.png"))
    Image.fromarray(grey.astype(np.uint16) * 16).save(deep / "wide.png")
    assert command()[0] == 0
    expected = picture(tmp_path, "masks", "wide.png")
    shutil.rmtree(tmp_path / "out")
    assert command("--window", "0", "4080", images=deep)[0] == 0
    np.testing.assert_array_equal(picture(tmp_path, "masks", "wide.png"), expected)
    shutil.rmtree(tmp_path / "out")
    status, messages = command("--window", "0", "4080")
    assert status == 1 and "'wide.png' has 8 bits per channel, to which no window applies" in messages
    shutil.rmtree(tmp_path / "out")
    status, messages = command("--window", "9", "2", images=deep)
    assert status == 2 and "--window is 9 2; LOW must be less than HIGH" in messages


def test_a_turned_photograph_is_measured_upright(command, images, tmp_path):
    exif = Image.Exif()
    exif[274] = 6
    for path in images.iterdir():
        path.unlink()
    pixels = np.random.default_rng(2).integers(0, 256, (30, 50), dtype=np.uint8)
    Image.fromarray(pixels).save(images / "turned.png", exif=exif)
    Image.fromarray(np.rot90(pixels, -1)).save(images / "upright.png")
    assert command()[0] == 0
    np.testing.assert_array_equal(picture(tmp_path, "masks", "turned.png"), picture(tmp_path, "masks", "upright.png"))


def test_dicom_is_read_and_no_name_is_passed_on(command, images, tmp_path):
    from tests.decoding.test_dicom import PERSON, dicom

    for path in images.iterdir():
        path.unlink()
    pixels = np.random.default_rng(3).integers(0, 256, (40, 60), dtype=np.uint8)
    (images / "good.dcm").write_bytes(dicom(pixels, PixelSpacing=[0.5, 0.5]))
    (images / "deep.dcm").write_bytes(dicom(pixels.astype(np.uint16)))
    (images / "cut.dcm").write_bytes(dicom(pixels)[:-99])
    status, messages = command()
    assert status == 1 and "1 of 3 images segmented" in messages
    written = b"".join(path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file())
    for part in PERSON.split("^"):
        assert part.encode() not in written and part not in messages


@pytest.fixture
def pair_model(tmp_path, smoke_config):
    """A small SAM with random weights that says symphysis and head."""
    settings = smoke_config.segmenters["sam"]
    checkpoint.save_base(tmp_path / "sam", settings, 0)
    network = checkpoint.build(tmp_path / "sam", settings, 2)
    both = (Structure("bone", "symphysis"), Structure("head", "head"))
    save_segmenter(checkpoint, tmp_path / "pair", network, both, name="sam", base=tmp_path / "sam", settings=settings,
                   trained_on={})  # fmt: skip
    return tmp_path / "pair"


def test_a_segmenter_of_symphysis_and_head_measures_between_them(command, images, tmp_path, monkeypatch, pair_model):
    """A network that says what is drawn here, whatever it is shown."""
    mask = Scene(Oval((90, 60), 30, 14, 0.0), Oval((130, 150), 60, 52, 0.4)).class_map()
    found = measure_progression(mask == 1, mask == 2)
    shown = iter([mask, mask, mask * 0, mask, mask, mask])
    monkeypatch.setattr(inference, "predict_native", lambda *_: [next(shown)])
    status, messages = command("--pixel-mm", "0.2", model=pair_model, images=images)
    # As with the command measure: no angle is an error, and the folder goes on.
    assert status == 1 and "6 of 6 images segmented" in messages and "1 of them have no angle" in messages
    rows = [row for row in table(tmp_path) if row["structure"] == PAIR]
    assert tuple(rows[0]) == (*COLUMNS[:-2], *PAIR_COLUMNS, *COLUMNS[-2:])
    assert float(rows[0]["aop_deg"]) == round(found.aop_deg, 2) and float(rows[0]["hsd_mm"]) == round(
        0.2 * found.hsd_px, 2
    )
    assert (rows[2]["aop_deg"], rows[2]["error"], rows[2]["warning"]) == ("", "no symphysis and no head", "")
    assert len(list((tmp_path / "out/overlays").iterdir())) == 6


def test_a_declared_mirror_is_turned_for_the_network_and_back(command, images, tmp_path, pair_model):
    folder = tmp_path / "mirrored"
    folder.mkdir()
    for path in images.iterdir():
        grey = np.asarray(Image.open(path).convert("L"))
        Image.fromarray(grey[:, ::-1]).save(folder / f"{path.stem}.png")
    plain, mirrored, undeclared = {}, {}, {}
    for found, folder_, options in (
        (plain, images, ()), (mirrored, folder, ("--head-side", "left")), (undeclared, folder, ()),
    ):  # fmt: skip
        assert command(*options, model=pair_model, images=folder_)[0] in (0, 1)
        for name in PICTURES:
            found[name] = picture(tmp_path, "masks", name)
        found["angles"] = [row["aop_deg"] for row in table(tmp_path)]
        shutil.rmtree(tmp_path / "out")
    assert mirrored["angles"] == plain["angles"]
    for name in PICTURES:
        np.testing.assert_array_equal(mirrored[name][:, ::-1], plain[name])
    assert any((undeclared[name][:, ::-1] != plain[name]).any() for name in PICTURES)
