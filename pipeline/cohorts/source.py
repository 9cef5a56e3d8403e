"""Raw cohorts as files by name, whether they lie in a folder or in the publisher's archives."""

import re
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple, Self

from pipeline.data.tables import Row, parse_table
from pipeline.run.errors import InputError
from pipeline.run.listing import is_wanted, walk

_ZIP = (".zip",)
_TAR = (".tar", ".tar.gz", ".tgz", ".tar.xz")
_OBTAIN = "run 'dvc pull', or obtain the data as data/README.md says (dvc import-url, dvc add)"


class Files(NamedTuple):
    """What a reader makes of the names in a cohort: file names by case id, and further fields of ``Case`` by case id.

    Where no ``patient`` is among the fields, images with equal pixels are one patient and every other image is its own.
    """

    images: dict[str, str]
    masks: dict[str, str]
    fields: dict[str, dict]


class Source:
    """The files of a raw cohort, read-only, to be used in a ``with`` statement.

    ``names`` holds relative POSIX names in natural order; a file inside an archive is named ``archive.zip/inner/name``.
    Hidden files, system files, directories and ``*.dvc`` pointers are left out. Archives inside archives stay closed.

    Raises:
        InputError: the root is missing or holds no file, or an archive is damaged.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._readers: dict[str, Callable[[], bytes]] = {}
        self._open: list[zipfile.ZipFile] = []
        if not root.exists():
            raise InputError(f"raw data '{root}' are missing; {_OBTAIN}")
        for path in walk(root):
            self._add(path, path.relative_to(root).as_posix() if path != root else path.name)
        if not self._readers:
            self.__exit__()
            raise InputError(f"raw data folder '{root}' holds no files; {_OBTAIN}")
        self.names = sorted(self._readers, key=natural_key)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for archive in self._open:
            archive.close()

    def read(self, name: str) -> bytes:
        """The bytes of a file in ``names``."""
        try:
            return self._readers[name]()
        except (OSError, RuntimeError, NotImplementedError, zipfile.BadZipFile, zlib.error, EOFError) as error:
            raise InputError(f"file '{name}' in '{self._root}' cannot be read ({error}); fetch it again") from error

    def _add(self, path: Path, name: str) -> None:
        try:
            if name.lower().endswith(_ZIP):
                self._add_zip(path, name)
            elif name.lower().endswith(_TAR):
                self._add_tar(path, name)
            else:
                self._readers[name] = path.read_bytes
        except (OSError, zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError) as error:
            raise InputError(f"archive '{name}' in '{self._root}' is damaged ({error}); fetch it again") from error

    def _add_zip(self, path: Path, name: str) -> None:
        archive = zipfile.ZipFile(path)
        self._open.append(archive)
        for member in archive.infolist():
            if not member.is_dir() and is_wanted(member.filename):
                self._readers[f"{name}/{member.filename}"] = lambda member=member: archive.read(member)

    def _add_tar(self, path: Path, name: str) -> None:
        # A compressed tar has no random access, so its files are held in memory (the African planes are 43 MB).
        with tarfile.open(path) as archive:
            for member in archive:
                inner = member.name.removeprefix("./")
                if member.isfile() and is_wanted(inner):
                    data = archive.extractfile(member).read()
                    self._readers[f"{name}/{inner}"] = lambda data=data: data


def natural_key(name: str) -> tuple:
    """Sort key that puts ``a2`` before ``a10``; the name itself settles ``a1`` and ``a01``."""
    return [int(part) if part.isdecimal() else part for part in re.split(r"([0-9]+)", name)], name


def stem(name: str) -> str:
    return PurePosixPath(name).stem


def suffix(name: str) -> str:
    return PurePosixPath(name).suffix.lower()


def parent(name: str) -> str:
    """Name of the folder that directly holds the file."""
    return PurePosixPath(name).parent.name


def by_id(names: Iterable[str], key: Callable[[str], str] = stem) -> dict[str, str]:
    """Map case id to file name.

    Raises:
        InputError: two files would be the same case.
    """
    found: dict[str, str] = {}
    for name in names:
        other = found.setdefault(key(name), name)
        if other != name:
            raise InputError(f"files '{other}' and '{name}' would both be case '{key(name)}'; rename or remove one")
    return found


def pair_masks(images: dict[str, str], masks: dict[str, str], labelled: bool) -> list[tuple[str, str, str | None]]:
    """(id, image name, mask name or None) in natural order of the ids. With ``labelled``, every image needs a mask.

    Raises:
        InputError: no image at all, a mask without an image, or (``labelled``) an image without a mask.
    """
    if not images:
        raise InputError("no images found that this reader knows; compare the files with data/README.md")
    for case_id, name in masks.items():
        if case_id not in images:
            raise InputError(f"mask '{name}' has no image '{case_id}'; add the image or remove the mask")
    for case_id, name in images.items():
        if labelled and case_id not in masks:
            raise InputError(f"image '{name}' has no mask; add it, remove the image or declare the cohort unlabelled")
    return [(case_id, images[case_id], masks.get(case_id)) for case_id in sorted(images, key=natural_key)]


def case_table(
    source: Source,
    tables: Sequence[str],
    images: dict[str, str],
    required: Iterable[str],
    case_id: Callable[[Row], str],
    fields: Callable[[Row], dict],
) -> dict[str, dict]:
    """Fields of ``Case`` by case id, from CSV files that have a row for every image; empty without such a file.

    Args:
        case_id: a row → its case. fields: a row → fields.

    Raises:
        InputError: a row without an image, an image without a row, or rows that differ for one case.
    """
    found: dict[str, dict] = {}
    for name in tables:
        for row in parse_table(source.read(name), f"file '{name}'", required):
            key, values = case_id(row), fields(row)
            if key not in images:
                raise InputError(f"file '{name}': row '{key}' has no image; add the image or remove the row")
            if found.setdefault(key, values) != values:
                raise InputError(f"file '{name}': row '{key}' contradicts another row; keep one of them")
    if tables and (lacking := [image for key, image in images.items() if key not in found]):
        raise InputError(f"file '{tables[0]}' has no row for image '{lacking[0]}'; add the row or remove the image")
    return found
