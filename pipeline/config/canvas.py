"""The size that a network sees: one number for a square canvas, or ``[height, width]``."""

from typing import Annotated

from pydantic import BeforeValidator

Canvas = int | tuple[int, int]
"""Pixels: the edge of a square, or height and width that differ."""


def canvas(least: int, multiple_of: int = 1):
    """The type of a key that holds a :data:`Canvas` whose sides are multiples of ``multiple_of``, ``least`` or more."""
    wanted = f"one whole number or [height, width], each {least} or more"
    wanted += f" and a multiple of {multiple_of}" if multiple_of > 1 else ""

    def read(value) -> Canvas:
        sides = (value,) if isinstance(value, int) else tuple(value) if isinstance(value, list | tuple) else ()
        whole = all(type(side) is int and side >= least and side % multiple_of == 0 for side in sides)
        if not whole or len(sides) != (1 if isinstance(value, int) else 2):
            raise ValueError(f"{wanted} is wanted")
        # A square has one spelling.
        return sides[0] if len(set(sides)) == 1 else sides

    return Annotated[Canvas, BeforeValidator(read)]


def spelt(size: Canvas) -> str:
    """``64``, or ``96 x 160`` (height, width)."""
    return str(size) if isinstance(size, int) else " x ".join(map(str, size))
