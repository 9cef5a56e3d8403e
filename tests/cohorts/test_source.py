"""Files of a raw cohort by name, from a folder or from archives."""

import io
import tarfile
import zipfile

import pytest

from pipeline.cohorts.source import Files, Source, by_id, folders, natural_key, pair_masks, passed_over, stem, suffix
from pipeline.run.errors import InputError


def test_folder_zip_and_tar_give_the_same_files(tmp_path):
    files = {"a/x_2.png": b"two", "a/x_10.png": b"ten", "b.csv": b"id\n"}
    for name, data in files.items():
        path = tmp_path / "folder" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    for kind in ("zip", "tar"):
        (tmp_path / kind).mkdir()
    with zipfile.ZipFile(tmp_path / "zip" / "set.zip", "w") as archive:
        archive.mkdir("a")
        for name, data in files.items():
            archive.writestr(name, data)
    with tarfile.open(tmp_path / "tar" / "set.tar.xz", "w:xz") as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(f"./{name}")
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    for kind, prefix in (("folder", ""), ("zip", "set.zip/"), ("tar", "set.tar.xz/")):
        with Source(tmp_path / kind) as source:
            assert source.names == [prefix + name for name in ("a/x_2.png", "a/x_10.png", "b.csv")]
            assert [source.read(prefix + name) for name in files] == list(files.values())


def test_root_may_be_the_archive_itself(tmp_path):
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        archive.writestr("x.png", b"data")
    with Source(tmp_path / "set.zip") as source:
        assert source.names == ["set.zip/x.png"]
        assert source.read("set.zip/x.png") == b"data"


def test_hidden_system_and_pointer_files_are_left_out(tmp_path):
    for name in ("keep.png", ".hidden.png", ".git/x.png", "__MACOSX/._keep.png", "raw.zip.dvc", "Thumbs.db"):
        path = tmp_path / "raw" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    with zipfile.ZipFile(tmp_path / "raw" / "set.zip", "w") as archive:
        archive.writestr("__MACOSX/._in.png", b"x")
        archive.writestr("in.png", b"x")
    with Source(tmp_path / "raw") as source:
        assert source.names == ["keep.png", "set.zip/in.png"]


def test_missing_folder_names_it_and_the_remedy(tmp_path):
    with pytest.raises(InputError, match=r"nowhere' are missing; run 'dvc pull'.*data/README\.md"):
        Source(tmp_path / "nowhere")


def test_empty_folder_names_it_and_the_remedy(tmp_path):
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "set.zip.dvc").write_text("outs: []")
    with pytest.raises(InputError, match=r"raw' holds no files; run 'dvc pull'"):
        Source(tmp_path / "raw")


@pytest.mark.parametrize("name", ["set.zip", "set.tar.xz"])
def test_damaged_archive_is_named(tmp_path, name):
    (tmp_path / name).write_bytes(b"not an archive")
    with pytest.raises(InputError, match=rf"archive '{name}' .* is damaged"):
        Source(tmp_path)


def test_damaged_member_is_named(tmp_path):
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        archive.writestr("x.png", b"payload" * 10)
    raw = bytearray((tmp_path / "set.zip").read_bytes())
    raw[raw.index(b"payload")] ^= 255
    (tmp_path / "set.zip").write_bytes(raw)
    with Source(tmp_path) as source, pytest.raises(InputError, match=r"set\.zip/x\.png' .* cannot be read"):
        source.read("set.zip/x.png")


def test_natural_order():
    assert sorted(["a10", "a2", "a1_10", "a1_9", "a01"], key=natural_key) == ["a01", "a1_9", "a1_10", "a2", "a10"]


def test_two_files_of_one_case_are_refused():
    with pytest.raises(InputError, match=r"'one/x.png' and 'two/x.png' would both be case 'x'"):
        by_id(["one/x.png", "two/x.png"])


def test_pairs():
    images, masks = {"x10": "i/x10.png", "x2": "i/x2.png"}, {"x2": "m/x2.png"}
    assert pair_masks(images, masks, labelled=False) == [("x2", "i/x2.png", "m/x2.png"), ("x10", "i/x10.png", None)]
    with pytest.raises(InputError, match=r"image 'i/x10\.png' has no mask"):
        pair_masks(images, masks, labelled=True)
    with pytest.raises(InputError, match=r"mask 'm/x3\.png' has no image"):
        pair_masks(images, {"x3": "m/x3.png"}, labelled=False)
    with pytest.raises(InputError, match="no images"):
        pair_masks({}, {}, labelled=False)


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("a/x.PNG", ("x", ".png", ["a"])),
        ("a/B/x.1.2.tif", ("x.1.2", ".tif", ["b", "a"])),
        ("x", ("x", "", [])),
        ("e\u0301.png", ("\u00e9", ".png", [])),
    ],
)
def test_parts_of_a_name(name, parts):
    assert (stem(name), suffix(name), folders(name)) == parts


def test_what_is_passed_over_is_told_by_kind(tmp_path):
    for name in ("a.png", "a_mask.png", "t.csv", "other.png", "notes.txt", "more.TXT", "README", "inner.zip.x/y.rar"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    with Source(tmp_path) as source:
        files = Files({"a": "a.png"}, {"a": "a_mask.png"}, {"a": {}}, ["t.csv"], {"planes": ["other.png"], "none": []})
        assert passed_over(source, files) == {
            "planes": ["other.png"],
            "files ending in .txt": ["more.TXT", "notes.txt"],
            "files without a suffix": ["README"],
            "files ending in .rar": ["inner.zip.x/y.rar"],
        }
