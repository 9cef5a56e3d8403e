"""The one exception for bad input: its message names the file, key or case and says what to do."""


class InputError(Exception):
    """Bad data, parameters or weights. The command line prints it in one line and exits with 2."""


def in_one_line(error: Exception) -> str:
    """What another library's error says, for a message."""
    return " ".join(str(error).split())[:200] or type(error).__name__
