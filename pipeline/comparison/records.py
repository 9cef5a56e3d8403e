"""JSON files that other stages wrote."""

from pathlib import Path

from pipeline.run.errors import InputError
from pipeline.run.files import read_json


def read_record(path: Path, remedy: str, *keys: str) -> dict:
    """The object in a file, which holds all of the keys.

    Raises:
        InputError: it does not, or there is no such file.
    """
    record = read_json(path, remedy)
    if missing := [key for key in keys if key not in record]:
        raise InputError(f"{path}: key '{missing[0]}' is missing; {remedy}")
    return record
