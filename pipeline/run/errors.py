"""The one exception for bad input: its message names the file, key or case and says what to do."""


class InputError(Exception):
    """Bad data, parameters or weights. The command line prints it in one line and exits with 2."""
