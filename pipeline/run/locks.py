"""Locks between processes. They are the kernel's: one ends with its process, and a file that is left means nothing."""

import fcntl
import os
from pathlib import Path
from typing import IO


def acquire(path: Path, kind: int) -> IO[str] | None:
    """An open file that holds a lock on ``path`` (LOCK_SH or LOCK_EX) until it is closed; None where others hold it."""
    while True:
        file = path.open("a+")
        try:
            fcntl.flock(file, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            return None
        # Its holder may have removed the file after it was opened here: no other process would see the lock then.
        if _is_at(path, file):
            return file
        file.close()


def alone(file: IO[str]) -> bool:
    """Whether nobody else holds the lock of an open file, which is exclusive from then on."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_at(path: Path, file: IO[str]) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False
