"""Which files of a folder are read, and what is said of the others."""

import pytest

from pipeline.decoding.file_names import IMAGE_SUFFIXES, MASK_SUFFIXES, list_files, named, split_suffix
from pipeline.run.errors import InputError


@pytest.mark.parametrize(("name", "parts"), [
    ("a.png", ("a", ".png")), ("x/a.b.PNG", ("a.b", ".png")), ("a.nii.gz", ("a", ".nii.gz")),
    ("x.y/a.NII.GZ", ("a", ".nii.gz")), ("a.gz", ("a", ".gz")), ("a.tar.gz", ("a.tar", ".gz")), ("a", ("a", "")),
    (".nii.gz", ("", ".nii.gz")), ("1.2.840.dcm", ("1.2.840", ".dcm")),
])  # fmt: skip
def test_suffixes(name, parts):
    assert split_suffix(name) == parts


def test_masks_are_images_but_for_jpeg():
    assert set(IMAGE_SUFFIXES) - set(MASK_SUFFIXES) == {".jpg", ".jpeg"}


@pytest.fixture
def folder(tmp_path):
    for name in ("b.PNG", "a.nii.gz", "c.txt", "scan", ".hidden.png", "._b.png", "Thumbs.db", "x/d.png", "x/y/e.png",
                 "__MACOSX/f.png", ".git/g.png", "README.md", "a.png.dvc"):  # fmt: skip
        (tmp_path / "real" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "real" / name).write_bytes(b"")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    (tmp_path / "real" / "loop").symlink_to(tmp_path / "real")
    (tmp_path / "real" / "linked.png").symlink_to(tmp_path / "real" / "b.PNG")
    return tmp_path


@pytest.mark.parametrize("name", ["real", "link"])
def test_what_is_read_and_what_is_said(folder, name, caplog):
    with caplog.at_level("WARNING"):
        found = list_files(folder / name, IMAGE_SUFFIXES)
    assert [path.name for path in found] == ["a.nii.gz", "b.PNG", "linked.png"]
    assert len(caplog.records) == 2
    assert "2 files in subfolders are passed over: 'x/d.png', 'x/y/e.png'" in caplog.text
    assert "2 files end in none of .png, .bmp" in caplog.text and "passed over: 'c.txt', 'scan'" in caplog.text


def test_two_files_of_one_name(folder):
    (folder / "real" / "b.dcm").write_bytes(b"")
    with pytest.raises(InputError, match="'b.PNG' and 'b.dcm' would share one name; rename or remove one"):
        list_files(folder / "real", IMAGE_SUFFIXES)


def test_no_folder_holds_nothing(tmp_path):
    assert list_files(tmp_path / "none", IMAGE_SUFFIXES) == []


def test_the_first_names_and_how_many_more():
    assert named(["a", "b"]) == "'a', 'b'"
    assert named([*"abcdef"]) == "'a', 'b', 'c' and 3 more"
