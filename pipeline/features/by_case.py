"""Stored features by case: which row is whose."""

from collections.abc import Sequence

from pipeline.run.errors import InputError

REMEDY = "extract the features again, or `dvc pull`"


def rows_of(stored: Sequence[str], wanted: Sequence[str], what: str) -> list[int]:
    """The rows of the cases ``wanted`` among those ``stored``, in their order.

    Args:
        what: is stored of a case, for messages.

    Raises:
        InputError: a case that is not stored.
    """
    row = {name: number for number, name in enumerate(stored)}
    if missing := [name for name in wanted if name not in row]:
        raise InputError(f"no {what} of case '{missing[0]}' are stored; {REMEDY}")
    return [row[name] for name in wanted]
