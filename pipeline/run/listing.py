"""What counts as a file of a folder: one list for readers, commands and digests."""

import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

_SYSTEM = ("__macosx", "__pycache__", "thumbs.db", "desktop.ini", "lost+found")


def is_wanted(name: str) -> bool:
    """Whether a relative POSIX name is one of the user's files: not hidden, no system file, no DVC pointer."""
    parts = [part.lower() for part in PurePosixPath(name).parts]
    hidden = any(part.startswith(".") or part in _SYSTEM for part in parts)
    return not hidden and not name.endswith(".dvc")


def walk(root: Path) -> Iterator[Path]:
    """The wanted files below a folder at any depth, or the file itself, in the order of their names.

    Links to files and folders are followed; a folder that holds itself by way of a link is entered once.
    """
    if root.is_file():
        yield root
        return
    found, entered = [], set()
    for folder, inner, files in os.walk(root, followlinks=True):
        real = os.path.realpath(folder)
        if real in entered:
            inner.clear()
            continue
        entered.add(real)
        found += [Path(folder) / name for name in files]
    yield from sorted(path for path in found if is_wanted(path.relative_to(root).as_posix()))
