"""Archives read in place: what lies in them by name. Nothing is unpacked under a name that an archive gives."""

import io
import lzma
import re
import shutil
import stat
import struct
import tarfile
import tempfile
import unicodedata
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

from pipeline.run.errors import InputError
from pipeline.run.listing import is_wanted

LARGEST = 1 << 30
"""Bytes of one file, as its archive declares them; a larger one is no image, and may be made to fill memory."""
LARGEST_TAR = 64 << 30
"""Bytes of all files of a tar together, which has to be read from end to end."""
LINKS = "links and devices in archives"
DAMAGE = (OSError, ValueError, RuntimeError, EOFError, struct.error, zipfile.BadZipFile, tarfile.TarError, zlib.error,
          lzma.LZMAError)  # fmt: skip
"""What libraries raise where an archive or a file in it cannot be read."""

_ZIP = (".zip",)
_TAR = (".tar", ".tar.gz", ".tgz", ".tar.xz", ".txz", ".tar.bz2", ".tbz2")
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
_OUTSIDE = re.compile(r"/|[A-Za-z]:|(.*/)?\.\.(/|$)")

Member = tuple[str, Callable[[], bytes] | None]
"""The relative POSIX name of a file in an archive, and what reads it; None for a link or device."""


def is_archive(name: str) -> bool:
    return name.lower().endswith((*_ZIP, *_TAR))


def members(path: Path, name: str, opened: ExitStack) -> Iterator[Member]:
    """The wanted files of an archive, which stays open until ``opened`` is closed. Archives inside it stay closed.

    Args:
        name: what messages call it.

    Raises:
        InputError: a file lies outside of it by its name, occurs twice, is encrypted, too large, or packed by a method
            that is not known here.
    """
    found: set[str] = set()
    for inner, read in (_of_zip if name.lower().endswith(_ZIP) else _of_tar)(path, name, opened):
        if _OUTSIDE.match(inner):
            raise InputError(f"archive '{name}' holds '{inner}', a place outside of it; pack it with relative names")
        if not is_wanted(inner):
            continue
        if inner in found:
            raise InputError(f"archive '{name}' holds '{inner}' twice; remove one of them")
        found.add(inner)
        yield inner, read


def _of_zip(path: Path, name: str, opened: ExitStack) -> Iterator[Member]:
    archive = opened.enter_context(zipfile.ZipFile(path))
    for member in archive.infolist():
        inner = _zip_name(member)
        if member.is_dir() or inner.endswith("/"):
            continue
        if stat.S_ISLNK(member.external_attr >> 16):
            yield inner, None
            continue
        if member.flag_bits & 1:
            raise InputError(f"archive '{name}' is encrypted ('{inner}'); unpack it with its password")
        if member.compress_type not in _METHODS:
            method = zipfile.compressor_names.get(member.compress_type, member.compress_type)
            raise InputError(f"archive '{name}' is packed by the method '{method}', unknown here; unpack it")
        _check_size(member.file_size, inner, name)
        yield inner, lambda member=member: archive.read(member)


def _zip_name(member: zipfile.ZipInfo) -> str:
    """The name in Unicode's composed form; some packers write UTF-8 without saying so, or backslashes."""
    name = member.filename
    if not member.flag_bits & 0x800:
        with suppress(UnicodeError):
            name = name.encode("cp437").decode()
    return _normal(name.replace("\\", "/"))


def _of_tar(path: Path, name: str, opened: ExitStack) -> Iterator[Member]:
    archive = opened.enter_context(tarfile.open(path))  # noqa: SIM115
    # A compressed tar has no random access: its files go to a file without a name, for memory is to stay small.
    plain = isinstance(archive.fileobj, io.BufferedReader)
    spool = None if plain else opened.enter_context(tempfile.TemporaryFile())  # noqa: SIM115
    total = 0
    for member in archive:
        inner = _normal(member.name)
        if not member.isfile():
            if not member.isdir():
                yield inner, None
            continue
        _check_size(member.size, inner, name)
        total += member.size
        if total > LARGEST_TAR:
            raise InputError(f"archive '{name}' holds more than {LARGEST_TAR >> 30} GiB; unpack it")
        if plain:
            yield inner, lambda member=member: archive.extractfile(member).read()
        elif is_wanted(inner):
            start = spool.seek(0, io.SEEK_END)
            shutil.copyfileobj(archive.extractfile(member), spool)
            yield inner, lambda start=start, size=member.size: _slice(spool, start, size)
    # A download that broke off between two files looks whole but for the mark behind the last one, and its checksum.
    if archive.fileobj.tell() <= archive.offset:
        raise EOFError("it ends without its end mark")
    while archive.fileobj.read(1 << 20):
        pass


def _slice(file, start: int, size: int) -> bytes:
    file.seek(start)
    return file.read(size)


def _normal(name: str) -> str:
    return unicodedata.normalize("NFC", re.sub(r"^(\./+)+", "", name))


def _check_size(size: int, inner: str, name: str) -> None:
    if size > LARGEST:
        raise InputError(
            f"archive '{name}': '{inner}' has {size / 2**30:.1f} GiB, more than {LARGEST >> 30}; remove it"
        )
