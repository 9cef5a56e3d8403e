"""Atomic writing and stable digests of files."""

import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Iterable
from pathlib import Path

from pipeline.run.errors import InputError
from pipeline.run.listing import walk


def beside(path: Path, kind: str, kept: int | None = None) -> Path:
    """A hidden name beside a path that no other process uses; readers, git and DVC pass over it.

    Args:
        kept: characters of the path's name that go into it; a system's names have at most 255 bytes.
    """
    return path.with_name(f".{path.name[:kept]}.{os.getpid()}-{secrets.token_hex(4)}.{kind}")


def write_bytes(path: Path, data: bytes) -> None:
    """Write under a temporary name, flush to disk, rename: a reader sees the old file or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = beside(path, "partial", kept=40)
    try:
        with partial.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except BaseException as error:
        if isinstance(error, OSError):
            # The system names no file when a disk is full.
            error.filename, error.filename2 = str(path), None
        partial.unlink(missing_ok=True)
        raise


def write_json(path: Path, value: object) -> None:
    """Indented, with keys in the order given, floats as they are, ending in a newline."""
    write_bytes(path, (json.dumps(value, indent=2, allow_nan=False) + "\n").encode())


def read_json(path: Path, remedy: str) -> dict:
    """An object from a JSON file.

    Raises:
        InputError: no such file, or it does not hold an object; with what to do about it.
    """
    try:
        value = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; {remedy}") from None
    except ValueError as error:
        raise InputError(f"{path}: not valid JSON ({error}); {remedy}") from None
    if not isinstance(value, dict):
        raise InputError(f"{path}: holds no JSON object; {remedy}")
    return value


def remove(path: Path) -> None:
    """Remove a file or a folder; a folder is gone as a whole, also for who is killed in the middle of it."""
    if path.is_dir() and not path.is_symlink():
        if path.suffix != ".partial":
            path = path.rename(beside(path, "partial"))
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def digest(paths: Iterable[Path], *values: object) -> str:
    """SHA-256 over the content (and relative names) of files and folders, then over ``values`` as text."""
    total = hashlib.sha256()
    for root in paths:
        for file in walk(root):
            total.update(str(file.relative_to(root)).encode())
            with file.open("rb") as content:
                total.update(hashlib.file_digest(content, "sha256").digest())
    for value in values:
        total.update(repr(value).encode())
    return total.hexdigest()
