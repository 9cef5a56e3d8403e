"""The frame of the commands beside the stages: parser, ranges, device and threads, messages, exit status."""

import argparse
import math
from collections.abc import Callable, Sequence
from pathlib import Path

from pipeline.run import stage
from pipeline.run.ending import reported
from pipeline.run.errors import InputError

LITTER = (".DS_Store", "Thumbs.db", "desktop.ini")


def build_parser(add_arguments: Callable) -> argparse.ArgumentParser:
    """The parser of the module of ``add_arguments(parser)``; its docstring is shown as it is written."""
    module = add_arguments.__globals__
    parser = stage.new_parser(module["__spec__"].name, module["__doc__"])
    add_arguments(parser)
    return parser


def add_compute(parser: argparse.ArgumentParser) -> None:
    """``--device`` and ``--threads``, which :func:`pipeline.run.compute.setup` takes."""
    parser.add_argument("--device", choices=("auto", "cpu", "cuda", "mps"), default="auto")
    parser.add_argument("--threads", type=between(int, 1, 1024), default=2)


def add_window(parser: argparse.ArgumentParser) -> None:
    """``--window``, which :func:`check_window` takes."""
    about = "grey values that become black and white, for images of more than 8 bits per channel"
    parser.add_argument("--window", type=float, nargs=2, metavar=("LOW", "HIGH"), help=about)


def add_head_side(parser: argparse.ArgumentParser) -> None:
    """``--head-side``, a ``HeadSide`` of the biometry."""
    about = "where the head lies for someone who goes from the superior to the inferior end of the symphysis"
    parser.add_argument("--head-side", choices=("right", "left"), default="right", help=about)


def reason(error: Exception, path: Path) -> str:
    """What a table says of a file that failed, in one line, with the file's name for its path."""
    # The text of a system's error names the whole path.
    known = getattr(error, "strerror", None) or error
    text = str(error) if isinstance(error, InputError) else f"{type(error).__name__}: {known}"
    return " ".join(text.replace(str(path), path.name).split())


def check_window(window: Sequence[float] | None) -> None:
    """Raises InputError: the first of the two values is not below the second."""
    if window is not None and not -math.inf < window[0] < window[1] < math.inf:
        raise InputError(f"--window is {window[0]:g} {window[1]:g}; LOW must be less than HIGH")


def between(kind: type, least: float, most: float = math.inf) -> Callable[[str], float]:
    """An argument's type: a number in [least, most]."""

    def read(text: str):
        value = kind(text)
        if not least <= value <= most:
            raise argparse.ArgumentTypeError(f"{text}, but it must be from {least} to {most}")
        return value

    # What argparse calls a text that is no number at all.
    read.__name__ = kind.__name__
    return read


def new_folder(text: str) -> Path:
    """An argument's type: a folder to write, which does not exist yet or is empty, but for what file managers leave."""
    path = Path(text)
    if path.exists() and not (path.is_dir() and all(entry.name in LITTER for entry in path.iterdir())):
        raise argparse.ArgumentTypeError(f"{path} exists and is not an empty folder; name a new one, or empty it")
    return path


def new_file(text: str) -> Path:
    """An argument's type: a file to write, which may exist."""
    path = Path(text)
    if path.is_dir():
        raise argparse.ArgumentTypeError(f"{path} is a folder; name a file")
    return path


def main(add_arguments: Callable, run: Callable, argv: Sequence[str] | None = None) -> None:
    """Parse and run; exit with the status that ``run(args)`` returns, if any; :mod:`pipeline.run.ending` has others."""
    with reported():
        args = build_parser(add_arguments).parse_args(argv)
        stage.prepare_environment(getattr(args, "threads", 1))
        if status := run(args):
            raise SystemExit(status)
