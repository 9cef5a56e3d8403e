"""The command line of every stage, made from the signature of its ``run`` function.

Argument parsing, logging, parameters, threads and atomic outputs live here, once. A stage is a module with

* ``PARAMS``: the sections of ``params.yaml`` it reads (``dvc.yaml`` lists the same);
* ``run(params, *, ...)``: keyword arguments annotated ``Path``, ``Path | None``, ``int``, ``str`` or :data:`Output`.

How it ends: :mod:`pipeline.run.ending`.
"""

import argparse
import inspect
import logging
import os
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

from pipeline.run.ending import reported
from pipeline.run.outputs import written_whole
from pipeline.run.processes import is_main

Output = Annotated[Path, "output"]
"""A path the stage writes. ``run`` gets another one beside it, renamed to the real one only when it succeeds."""

SCRATCH = Path(".scratch")
log = logging.getLogger("pipeline")


def new_parser(module: str, doc: str) -> argparse.ArgumentParser:
    """The parser of a module that is run with `python -m`; ``doc`` is shown as it is written."""
    raw = argparse.RawDescriptionHelpFormatter
    return argparse.ArgumentParser(prog=f"python -m {module}", description=doc, formatter_class=raw)


def build_parser(run: Callable) -> argparse.ArgumentParser:
    parser = new_parser(run.__globals__["__spec__"].name, inspect.getdoc(run) or "")
    parser.add_argument("--params", type=Path, default="params.yaml", help="parameter file (default: %(default)s)")
    for name, argument in _arguments(run).items():
        kind, default = argument.annotation, argument.default
        given = {"required": True} if default is inspect.Parameter.empty else {"default": default}
        about = {Output: "path to write", Path: "path", Path | None: "path"}.get(kind, "value")
        read = kind if about == "value" else Path
        parser.add_argument(f"--{name.replace('_', '-')}", type=read, help=about, **given)
    return parser


def main(run: Callable, read: Callable[[Path], tuple[object, int]], argv: Sequence[str] | None = None) -> None:
    """Parse and run; how it ends is told by its exit status and, where it fails, one line on stderr.

    Args:
        read: a parameter file → what ``run`` gets of it, and the number of threads.
    """
    with reported():
        args = vars(build_parser(run).parse_args(argv))
        params, threads = read(args.pop("params"))
        prepare_environment(threads)
        start = time.monotonic()
        execute(run, params, args)
        log.info("%s took %.0f s and %.1f GB", run.__globals__["__spec__"].name, time.monotonic() - start, _peak_gb())


def prepare_environment(threads: int) -> None:
    """What has to be set before numpy or torch are imported: the number of threads changes floating-point sums."""
    for library in ("OMP", "MKL", "OPENBLAS"):
        os.environ[f"{library}_NUM_THREADS"] = str(threads)
    # Without it CUDA's matrix products do not repeat.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")


def execute(run: Callable, params, args: dict) -> None:
    """Call ``run`` with other paths for its outputs, and put these into place when it returns.

    Of several processes the main one writes and moves; the others are given the same arguments.
    """
    with ExitStack() as outputs:
        for name, argument in _arguments(run).items():
            if is_main() and argument.annotation == Output and args[name] is not None:
                args[name] = outputs.enter_context(written_whole(args[name]))
        run(params, **args)


def _peak_gb() -> float:
    """The largest resident set of this process or one of its children so far, in GB (ru_maxrss is in KB on Linux)."""
    import resource

    unit = 1e9 if sys.platform == "darwin" else 1e6
    return max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)) / unit


def _arguments(run: Callable) -> dict[str, inspect.Parameter]:
    return {name: p for name, p in inspect.signature(run).parameters.items() if p.kind is p.KEYWORD_ONLY}
