"""Raw cohorts as files by name, whether they lie in a folder or in the publisher's archives."""

import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import NamedTuple, Self

from pipeline.cohorts import archives
from pipeline.data.tables import Row, parse_table
from pipeline.decoding.file_names import split_suffix
from pipeline.run.errors import InputError
from pipeline.run.listing import walk

_OBTAIN = "run 'dvc pull', or obtain the data as data/README.md says (dvc import-url, dvc add)"

Note = Callable[[str], None]
"""Told, in words, what a reader made of a mask that is not as its publisher draws them."""


class Files(NamedTuple):
    """What a reader makes of the names in a cohort.

    images, masks: file names by case id. fields: further fields of ``Case`` by case id; without a ``patient`` among
    them every case is its own. tables: names of the tables that were read. others: names of files that the reader
    knows and passes over, by what they are.
    """

    images: dict[str, str]
    masks: dict[str, str]
    fields: dict[str, dict]
    tables: Sequence[str] = ()
    others: Mapping[str, list[str]] = MappingProxyType({})


class Source:
    """The files of a raw cohort, read-only, to be used in a ``with`` statement.

    ``names`` holds relative POSIX names in natural order; a file inside an archive is named ``archive.zip/inner/name``.
    ``links`` holds the names of links and devices in archives, which are not followed. Hidden files, system files,
    directories and ``*.dvc`` pointers are left out. Archives inside archives stay closed.

    Raises:
        InputError: the root is missing or holds no file, or an archive is damaged or not fit to be read.
    """

    def __init__(self, root: Path) -> None:
        self._root, self._opened = root, ExitStack()
        self._readers: dict[str, Callable[[], bytes]] = {}
        self.links: list[str] = []
        if not root.exists():
            raise InputError(f"raw data '{root}' are missing; {_OBTAIN}")
        try:
            for path in walk(root):
                self._add(path, path.relative_to(root).as_posix() if path != root else path.name)
            if not self._readers:
                raise InputError(f"raw data folder '{root}' holds no files; {_OBTAIN}")
        except BaseException:
            self._opened.close()
            raise
        self.names = sorted(self._readers, key=natural_key)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._opened.close()

    def read(self, name: str) -> bytes:
        """The bytes of a file in ``names``."""
        try:
            return self._readers[name]()
        except archives.DAMAGE as error:
            raise InputError(f"file '{name}' in '{self._root}' cannot be read ({error}); fetch it again") from error

    def _add(self, path: Path, name: str) -> None:
        if not archives.is_archive(name):
            self._readers[name] = lambda: _whole(path, name)
            return
        try:
            for inner, read in archives.members(path, name, self._opened):
                if read is None:
                    self.links.append(f"{name}/{inner}")
                else:
                    self._readers[f"{name}/{inner}"] = read
        except archives.DAMAGE as error:
            raise InputError(f"archive '{name}' in '{self._root}' is damaged ({error}); fetch it again") from error


def _whole(path: Path, name: str) -> bytes:
    if path.stat().st_size > archives.LARGEST:
        raise InputError(f"file '{name}' is larger than {archives.LARGEST >> 30} GiB; remove it")
    return path.read_bytes()


def passed_over(source: Source, files: Files) -> dict[str, list[str]]:
    """What a reader made nothing of: names of files by what they are."""
    used = {*files.images.values(), *files.masks.values(), *files.tables}
    found = {what: list(names) for what, names in files.others.items() if names}
    used.update(*found.values())
    for name in source.names:
        if name not in used:
            kind = f"files ending in {suffix(name)}" if suffix(name) else "files without a suffix"
            found.setdefault(kind, []).append(name)
    return found | ({archives.LINKS: source.links} if source.links else {})


def natural_key(name: str) -> tuple:
    """Sort key that puts ``a2`` before ``a10``; the name itself settles ``a1`` and ``a01``."""
    return [int(part) if part.isdecimal() else part for part in re.split(r"([0-9]+)", name)], name


def stem(name: str) -> str:
    """The file's name without folders and suffix, in Unicode's composed form: packers differ in it."""
    return unicodedata.normalize("NFC", split_suffix(name)[0])


def suffix(name: str) -> str:
    """In lower case; ``.nii.gz`` is one."""
    return split_suffix(name)[1]


def folders(name: str) -> list[str]:
    """Names of the folders a file lies in, in lower case, the nearest first."""
    return [part.lower() for part in reversed(PurePosixPath(name).parts[:-1])]


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
    columns: Sequence[str],
    required: Sequence[str],
    fields: Callable[[Row], dict],
) -> dict[str, dict]:
    """Fields of ``Case`` by case id, from CSV files that have a row for every image; empty without such a file.

    Args:
        columns: those that are known; the first names the case, by its id or the name of its image's file.
        fields: a row → fields.

    Raises:
        InputError: a row without an image, an image without a row, or rows that differ for one case.
    """
    found: dict[str, dict] = {}
    for name in tables:
        for row in parse_table(source.read(name), f"file '{name}'", required, optional=columns):
            key, values = _case_of(row[columns[0]], images), fields(row)
            if key not in images:
                raise InputError(f"file '{name}': row '{key}' has no image; add the image or remove the row")
            if found.setdefault(key, values) != values:
                raise InputError(f"file '{name}': row '{key}' contradicts another row; keep one of them")
    if tables and (lacking := [image for key, image in images.items() if key not in found]):
        raise InputError(f"file '{tables[0]}' has no row for image '{lacking[0]}'; add the row or remove the image")
    return found


def _case_of(text: str, images: dict[str, str]) -> str:
    """The case that a table means by an id or a file name, with or without folders and suffix."""
    base = unicodedata.normalize("NFC", PurePosixPath(text.replace("\\", "/")).name)
    return base if base in images else stem(base)
