"""The one exception for bad input: its message names the file, key or case and says what to do."""

import re


class InputError(Exception):
    """Bad data, parameters or weights. The command line prints it in one line and exits with 2."""


def in_one_line(error: Exception) -> str:
    """What another library's error says, for a message."""
    return " ".join(str(error).split())[:200] or type(error).__name__


def system_number(error: Exception) -> int | None:
    """The number (errno) of what the system refused, also where a library in Rust or C++ put it into a text."""
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno
    found = re.search(r"(?:errno |os error |Os \{ code: )(\d+)", str(error), re.IGNORECASE)
    return int(found[1]) if found else None
