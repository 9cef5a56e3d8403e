"""Many items a few at a time."""

from collections.abc import Iterable, Iterator
from itertools import islice


def chunks(items: Iterable, size: int) -> Iterator[list]:
    """Lists of at most ``size`` items, in order; no item is asked for before its turn."""
    remaining = iter(items)
    while chunk := list(islice(remaining, size)):
        yield chunk
