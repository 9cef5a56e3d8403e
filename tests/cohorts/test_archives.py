"""Archives as people have them: what is read, what is refused by name."""

import io
import stat
import struct
import tarfile
import unicodedata
import zipfile

import pytest

from pipeline.cohorts import archives
from pipeline.cohorts.source import Source
from pipeline.run.errors import InputError


def zipped(path, *names, data=b"data", **fields):
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            member = zipfile.ZipInfo(name)
            for key, value in fields.items():
                setattr(member, key, value)
            archive.writestr(member, data)
    return path


def tarred(path, *members, mode="w:xz"):
    """members: (name, type) pairs; files hold their own name."""
    with tarfile.open(path, mode) as archive:
        for name, kind in members:
            info = tarfile.TarInfo(name)
            info.type, data = kind, name.encode()
            info.size, info.linkname = (len(data) if kind == tarfile.REGTYPE else 0), "a.png"
            archive.addfile(info, io.BytesIO(data))
    return path


def names(root):
    with Source(root) as source:
        return source.names


@pytest.mark.parametrize("suffix", [".tar", ".tar.gz", ".tgz", ".tar.xz", ".txz", ".tar.bz2", ".TAR.XZ"])
def test_tars_of_any_packing_give_their_files(tmp_path, suffix):
    mode = {"gz": "w:gz", "tgz": "w:gz", "xz": "w:xz", "txz": "w:xz", "bz2": "w:bz2"}
    kind = mode.get(suffix.lower().rsplit(".", 1)[-1], "w")
    tarred(tmp_path / f"set{suffix}", ("./b.png", tarfile.REGTYPE), ("a.png", tarfile.REGTYPE), mode=kind)
    with Source(tmp_path) as source:
        assert source.names == [f"set{suffix}/a.png", f"set{suffix}/b.png"]
        assert [source.read(name) for name in (*source.names, source.names[0])] == [b"a.png", b"./b.png", b"a.png"]


@pytest.mark.parametrize(
    "name", ["../x.png", "a/../../x.png", "/etc/x.png", "C:/x.png", "C:\\x.png", "..\\x.png", "a/.."]
)
@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_places_outside_are_refused(tmp_path, name, kind):
    if kind == "zip":
        zipped(tmp_path / "set.zip", "a.png", name)
    elif "\\" in name:
        return
    else:
        tarred(tmp_path / "set.tar", ("a.png", tarfile.REGTYPE), (name, tarfile.REGTYPE), mode="w")
    with pytest.raises(
        InputError, match=r"archive 'set\.\w+' holds '.*', a place outside of it; pack it with relative"
    ):
        names(tmp_path)


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_links_and_devices_are_counted_and_not_followed(tmp_path, kind, mode):
    tarred(tmp_path / "set.tar", ("a.png", tarfile.REGTYPE), ("b.png", kind), mode=mode)
    with Source(tmp_path) as source:
        assert (source.names, source.links) == (["set.tar/a.png"], ["set.tar/b.png"])


def test_links_in_a_zip_are_counted(tmp_path):
    zipped(tmp_path / "set.zip", "b.png", external_attr=(stat.S_IFLNK | 0o777) << 16)
    with zipfile.ZipFile(tmp_path / "set.zip", "a") as archive:
        archive.writestr("a.png", b"x")
    with Source(tmp_path) as source:
        assert (source.names, source.links) == (["set.zip/a.png"], ["set.zip/b.png"])


def patched(path, offset, form, value):
    """Overwrite a field of the only entry of a zip's central directory."""
    raw = bytearray(path.read_bytes())
    struct.pack_into(form, raw, raw.index(b"PK\x01\x02") + offset, value)
    path.write_bytes(raw)


@pytest.mark.parametrize(
    ("offset", "form", "value", "message"),
    [
        (8, "<H", 1, "is encrypted .'x.png'.; unpack it with its password"),
        (10, "<H", 9, "is packed by the method 'deflate64', unknown here; unpack it"),
        (24, "<I", 3 << 30, r"'x.png' has 3\.0 GiB, more than 1; remove it"),
    ],
)
def test_what_cannot_be_unpacked_is_refused_by_name(tmp_path, offset, form, value, message):
    patched(zipped(tmp_path / "set.zip", "x.png"), offset, form, value)
    with pytest.raises(InputError, match=f"archive 'set.zip'.* {message}"):
        names(tmp_path)


@pytest.mark.parametrize("size", [2 << 30, 1 << 60])
def test_a_tar_that_declares_too_much_is_refused_before_it_is_read(tmp_path, size):
    info = tarfile.TarInfo("x.png")
    info.size = size
    (tmp_path / "set.tar").write_bytes(info.tobuf(tarfile.GNU_FORMAT) + bytes(1024))
    with pytest.raises(InputError, match=r"'x\.png' has .* GiB, more than 1"):
        names(tmp_path)


def test_a_tar_that_is_too_large_as_a_whole(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "LARGEST_TAR", 8)
    tarred(tmp_path / "set.tar.xz", ("a.png", tarfile.REGTYPE), ("b.png", tarfile.REGTYPE))
    with pytest.raises(InputError, match=r"archive 'set\.tar\.xz' holds more than"):
        names(tmp_path)


def test_a_file_that_is_too_large(tmp_path):
    with (tmp_path / "x.png").open("wb") as file:
        file.truncate((1 << 30) + 1)
    with Source(tmp_path) as source, pytest.raises(InputError, match=r"file 'x\.png' is larger than 1 GiB"):
        source.read("x.png")


def test_a_name_that_occurs_twice(tmp_path):
    with pytest.warns(UserWarning, match="Duplicate"):
        zipped(tmp_path / "set.zip", "a/x.png", "a/x.png")
    with pytest.raises(InputError, match=r"holds 'a/x\.png' twice"):
        names(tmp_path)


@pytest.mark.parametrize("form", ["NFC", "NFD"])
@pytest.mark.parametrize("flag", [0x800, 0])
def test_names_in_any_form_of_unicode_are_composed(tmp_path, form, flag):
    """Some packers write UTF-8 without saying so."""
    name = unicodedata.normalize(form, "é/ö.png")
    zipped(tmp_path / "set.zip", name)
    if not flag:
        raw = (tmp_path / "set.zip").read_bytes()
        for header, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
            at = raw.index(header) + offset
            raw = raw[:at] + struct.pack("<H", 0) + raw[at + 2 :]
        (tmp_path / "set.zip").write_bytes(raw)
    assert names(tmp_path) == [unicodedata.normalize("NFC", "set.zip/é/ö.png")]


def test_backslashes_separate_folders(tmp_path):
    zipped(tmp_path / "set.zip", "images\\a.png")
    assert names(tmp_path) == ["set.zip/images/a.png"]


def test_very_deep_folders_and_archives_in_archives(tmp_path):
    deep = "/".join(["d"] * 2000) + "/a.png"
    inner = io.BytesIO()
    zipped(inner, "b.png")
    zipped(tmp_path / "set.zip", deep, "more.zip", data=inner.getvalue())
    assert names(tmp_path) == [f"set.zip/{deep}", "set.zip/more.zip"]


@pytest.mark.parametrize("cut", [0.3, 0.7, 0.99])
@pytest.mark.parametrize("kind", ["zip", "tar.gz", "tar.xz"])
def test_a_truncated_archive_is_named(tmp_path, kind, cut):
    path = tmp_path / f"set.{kind}"
    if kind == "zip":
        zipped(path, *"abcdef")
    else:
        tarred(path, *((name * 400, tarfile.REGTYPE) for name in "abcdef"), mode=f"w:{kind[4:]}")
    path.write_bytes(path.read_bytes()[: int(cut * path.stat().st_size)])
    with pytest.raises(InputError, match=rf"archive 'set\.{kind}' .* is damaged"):
        names(tmp_path)


@pytest.mark.parametrize("files", [1, 2])
def test_a_tar_that_ends_between_two_files_is_damaged(tmp_path, files):
    tarred(tmp_path / "set.tar", *((name, tarfile.REGTYPE) for name in ("a.png", "b.png")), mode="w")
    (tmp_path / "set.tar").write_bytes((tmp_path / "set.tar").read_bytes()[: 1024 * files])
    with pytest.raises(InputError, match=r"is damaged \(it ends without its end mark\)"):
        names(tmp_path)
