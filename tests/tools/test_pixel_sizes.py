"""The pixel sizes that commands are given or files say, and what is made of them."""

# Fixtures are imported.
# ruff: noqa: F811

import numpy as np
import pytest

from pipeline.run.errors import InputError
from pipeline.tools.pixel_sizes import read_pixel_sizes
from tests.tools.segmenting import PICTURES, command, environment, images, model, table  # noqa: F401

HC18_HEADER = "filename,pixel size(mm),head circumference (mm)"


def test_one_pixel_size_for_all(command, tmp_path):
    assert command("--pixel-mm", "0.5")[0] == 0
    heads = [row for row in table(tmp_path) if row["circumference_px"]]
    assert len(heads) > 1
    for row in heads:
        assert float(row["circumference_mm"]) == pytest.approx(0.5 * float(row["circumference_px"]), abs=0.011)


def test_pixel_sizes_of_hc18(command, images, tmp_path):
    path = tmp_path / "sizes.csv"
    path.write_text(
        f"{HC18_HEADER}\nwide.png,0.25,44.3\ntall.png,2,70.1\nelsewhere.png,0.06,50\n", encoding="utf-8-sig"
    )
    status, messages = command("--pixel-sizes", str(path))
    assert status == 0 and f"no pixel size for {len(PICTURES) - 2} images, e.g. 'alpha.PNG'" in messages
    heads = {row["file"]: row for row in table(tmp_path) if row["circumference_px"]}
    assert {"wide.png", "tall.bmp"} < set(heads)
    for name, row in heads.items():
        mm = {"wide.png": 0.25, "tall.bmp": 2}.get(name)
        if mm:
            expected = mm * float(row["circumference_px"])
            assert float(row["circumference_mm"]) == pytest.approx(expected, abs=0.0051 * (1 + mm))
        else:
            assert row["circumference_mm"] == ""


def test_published_pixel_sizes(shared_data):
    sizes = read_pixel_sizes(shared_data / "hc18/training_set_pixel_size_and_HC.csv")
    assert sizes["000_HC"] == 0.0691358041432
    assert all(0.03 < size < 0.5 for size in sizes.values())


def test_dots_in_a_name_without_suffix(tmp_path):
    (tmp_path / "sizes.csv").write_text("pixel_mm, id\n0.1, 1.2.840\n0.2,1.2.841\n0.3,sub/a.b.JPG\n")
    assert read_pixel_sizes(tmp_path / "sizes.csv") == {"1.2.840": 0.1, "1.2.841": 0.2, "a.b": 0.3}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("filename,size\na.png,0.1\n", "row 1 below the header lacks 'filename'/'file'/'id' and 'pixel size"),
        ("filename,pixel_mm\na.png,0.1\nb.png\n", "row 2 below the header has 1 fields, not 2"),
        ("filename,pixel_mm\na.png,0.1\n,\nb.png,\n", "row 3 below the header lacks"),
        (
            "filename,pixel_mm\na.png,0\n",
            "row 1 .*column 'pixel_mm' is '0'; it must be a number above 0",
        ),
        ("filename,pixel_mm\na.png,nan\n", "is 'nan'; it must be"),
        ("filename,pixel_mm\na.png,69\n", "row 1 .*column 'pixel_mm' is 69; the edge of a pixel must be from 0.005"),
        ("filename,pixel_mm\na.png,wide\n", "is 'wide'; it must be"),
        ("filename,pixel_mm\na.png,0.1\na.bmp,0.2\n", "two rows for 'a.bmp' differ"),
        ('filename,pixel_mm\n"a.png,0.1\n', "cannot be read as CSV"),
        ("filename,pixel_mm\n\xe4.png,0.1\n", "cannot be read as CSV"),
        (None, "no such file; name a table of pixel sizes"),
    ],
)
def test_bad_pixel_sizes(tmp_path, text, message):
    if text is not None:
        (tmp_path / "sizes.csv").write_bytes(text.encode("latin-1"))
    with pytest.raises(InputError, match="sizes.csv.*" + message):
        read_pixel_sizes(tmp_path / "sizes.csv")


def write_volume(path, array, spacing):
    import SimpleITK

    image = SimpleITK.GetImageFromArray(array)
    image.SetSpacing((spacing, spacing))
    SimpleITK.WriteImage(image, str(path))


@pytest.fixture
def volumes(tmp_path):
    """One head-like image in formats that say their pixel size."""
    folder = tmp_path / "volumes"
    folder.mkdir()
    array = np.random.default_rng(1).integers(0, 256, (50, 80), dtype=np.uint8)
    for name, spacing in {"a.mha": 0.5, "b.nrrd": 0.25, "c.nii.gz": 0.5, "d.nii": 1.0, "e.mha": 30.0}.items():
        write_volume(folder / name, array, spacing)
    return folder


def test_the_pixel_size_of_the_file_is_used(command, volumes, tmp_path):
    status, messages = command(images=volumes)
    rows = {row["file"]: row for row in table(tmp_path) if row["circumference_px"] or row["error"]}
    assert status == 1 and "1 failed" in messages
    assert "its pixel size is 30; the edge of a pixel must be from 0.005 to 2 mm" in rows.pop("e.mha")["error"]
    for name, mm in {"a.mha": 0.5, "b.nrrd": 0.25, "c.nii.gz": 0.5}.items():
        expected = mm * float(rows[name]["circumference_px"])
        assert float(rows[name]["circumference_mm"]) == pytest.approx(expected, abs=0.011)
    assert rows["d.nii"]["circumference_mm"] == ""
    assert sorted(path.name for path in (tmp_path / "out/masks").iterdir()) == ["a.png", "b.png", "c.png", "d.png"]


def test_a_pixel_size_that_contradicts_the_file_is_refused(command, volumes, tmp_path):
    (tmp_path / "sizes.csv").write_text("file,pixel_mm\na.mha,0.504\nb.nrrd,0.3\nc.nii.gz,0.49\nd.nii,0.3\n")
    assert command("--pixel-sizes", str(tmp_path / "sizes.csv"), images=volumes)[0] == 1
    rows = {row["file"]: row for row in table(tmp_path) if row["circumference_px"] or row["error"]}
    assert rows["a.mha"]["circumference_mm"] and rows["d.nii"]["circumference_mm"]
    for name, said, given in (("b.nrrd", "0.25", "0.3"), ("c.nii.gz", "0.5", "0.49")):
        assert f"'{name}' says its pixels are {said} mm, and {given} mm is given" in rows[name]["error"]
