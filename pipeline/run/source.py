"""Which source files of the package a program depends on."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

SOURCE = Path(__file__).parents[1]


def of_this_program() -> list[Path]:
    """The files that the running stage or command may import; the whole package where it is run by something else."""
    main = Path(getattr(sys.modules["__main__"], "__file__", None) or "/")
    return sorted(reachable(main)) if main.is_relative_to(SOURCE) else [SOURCE]


def reachable(path: Path) -> set[Path]:
    """The file and all files of the package that it imports, inside functions too, directly or through others."""
    seen, todo = set(), [path]
    while todo:
        current = todo.pop()
        if current not in seen:
            seen.add(current)
            todo += _imports(current)
    return seen


def _imports(path: Path) -> Iterator[Path]:
    for node in ast.walk(ast.parse(path.read_bytes())):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        for name in names:
            if name.split(".")[0] == SOURCE.name:
                base = SOURCE.parent / name.replace(".", "/")
                yield from (file for file in (base.with_suffix(".py"), base / "__init__.py") if file.is_file())
