"""The size of a canvas, which parameters and files give as one number (a square) or as height and width."""

from collections.abc import Sequence


def sides(size: int | Sequence[int]) -> tuple[int, int]:
    """Height and width in pixels."""
    return (size, size) if isinstance(size, int) else (int(size[0]), int(size[1]))
