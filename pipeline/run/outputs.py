"""Outputs that are whole or absent: made beside their target under a lock of the target, and renamed when finished.

A kill at any moment leaves the old output or the new one, and hidden files that the next writer of the target removes.
"""

import errno
import fcntl
import logging
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pipeline.run import files, locks
from pipeline.run.errors import InputError, system_number

PATIENCE = 5.0
"""Seconds that a writer waits for another one, which may be about to end."""
OF_DISKS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO)
log = logging.getLogger("pipeline.outputs")


@contextmanager
def written_whole(target: Path) -> Iterator[Path]:
    """A path for what becomes ``target``, a file or a folder, when the block ends; where it raises, all stays as is.

    The path is new and on the target's file system. A folder that is reached through a link is written where it lies.

    Raises:
        InputError: another process is writing the target, the target cannot be replaced as a whole, or what was made
            cannot be moved there; it is kept then, under a name that the message gives.
    """
    place = _place(target)
    partial = files.beside(place, "partial")
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with _locked(place, target):
            try:
                yield partial
                _flush(partial)
                _swap(partial, place)
            finally:
                # What stays hidden the next writer removes; the error is what has to be told.
                with suppress(OSError):
                    _tidy(place)
    except InputError as error:
        raise InputError(_shown(str(error), place, target)) from None
    except Exception as error:
        name, number = getattr(error, "filename", None), system_number(error)
        if isinstance(name, str):
            error.filename = _shown(name, place, target)
        elif number in OF_DISKS:
            # No file is named then, neither by the system nor by a library.
            raise OSError(number, os.strerror(number), str(target)) from error
        raise


def _shown(text: str, place: Path, target: Path) -> str:
    """A text in which the target stands for the hidden names beside it."""
    hidden = re.escape(f".{place.name}.") + r"(\d+-[0-9a-f]{8}\.(partial|old)|lock)"
    text = re.sub(re.escape(f"{place.parent}/") + hidden, lambda _: str(target), text)
    return re.sub(hidden, lambda _: target.name, text)


def _place(target: Path) -> Path:
    """Where an output lies, links to folders resolved.

    Raises:
        InputError: it cannot be replaced as a whole.
    """
    if target.is_symlink() and not target.exists():
        raise InputError(f"{target}: a link to {target.readlink()}, which is not there; remove the link, or mend it")
    if not target.is_dir():
        return target.parent.resolve() / target.name
    place = target.resolve()
    if place.is_mount():
        raise InputError(f"{target}: a mounted file system, which cannot be replaced; name a folder in it")
    if Path.cwd().is_relative_to(place):
        raise InputError(f"{target}: the folder that this runs in; name another one")
    return place


@contextmanager
def _locked(place: Path, target: Path) -> Iterator[None]:
    path = place.with_name(f".{place.name}.lock")
    deadline = time.monotonic() + PATIENCE
    while (file := locks.acquire(path, fcntl.LOCK_EX)) is None:
        if time.monotonic() > deadline:
            holder = path.read_text() if path.exists() else ""
            raise InputError(f"{target}: process {holder or '(unknown)'} is writing it; wait for it, or end it")
        time.sleep(0.05)
    try:
        # First: what a killed writer left may be what fills the disk.
        _tidy(place)
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield
    finally:
        path.unlink(missing_ok=True)
        file.close()


def _swap(new: Path, place: Path) -> None:
    """Put ``new`` in the place of what is there, unless one is a folder and the other a file."""
    try:
        if os.path.lexists(place) and new.is_dir() != place.is_dir():
            kind = errno.EISDIR if place.is_dir() else errno.ENOTDIR
            raise OSError(kind, os.strerror(kind))
        if not place.is_dir():
            new.replace(place)
        else:
            # No folder can be renamed over another one that holds files.
            old = files.beside(place, "old")
            place.rename(old)
            new.rename(place)
            # Under this name it is removed, however little of it is left, and never put back.
            old.rename(files.beside(place, "partial"))
    except OSError as error:
        kept = place.with_name(f"{place.name}-{os.getpid()}-finished")
        if os.path.lexists(new):
            new.rename(kept)
        why = f"cannot be replaced ({error.strerror}); what was made is in {kept}"
        raise InputError(f"{place}: {why}") from None
    _sync(place.parent)


def _tidy(place: Path) -> None:
    """Put back an output that a kill left aside, and remove what writers left. Only for who holds the lock."""
    name = re.compile(re.escape(f".{place.name}.") + r"\d+-[0-9a-f]{8}\.(partial|old)")
    left = [path for path in place.parent.iterdir() if name.fullmatch(path.name)]
    for path in sorted(left, key=lambda path: path.suffix):
        if path.suffix == ".old" and not os.path.lexists(place):
            path.rename(place)
            continue
        try:
            files.remove(path)
        except OSError as error:
            log.warning("%s: cannot be removed (%s); do it yourself", path, error.strerror)


def _flush(path: Path) -> None:
    """Have everything on the disk before it gets its name: a full disk may show only now."""
    for folder, _, names in os.walk(path):
        for name in names:
            _sync(Path(folder) / name)
        _sync(Path(folder))
    if not path.is_dir():
        _sync(path)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        # Some network file systems refuse it for folders.
        if error.errno != errno.EINVAL:
            error.filename = str(path)
            raise
    finally:
        os.close(descriptor)
