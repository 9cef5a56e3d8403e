"""What a stage depends on, read off the code: the modules it imports, and those of its parameter sections."""

import ast
import importlib
import typing
from functools import cache
from pathlib import Path

import yaml
from pydantic import BaseModel

from pipeline.config.params import Config

ROOT = Path(__file__).parents[1]
PIPELINE = ROOT / "pipeline"
STAGES = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
COMMONS = ("run", "imaging", "data")
"""Packages that a stage depends on as a whole when it imports any module of them."""
CHECKS = {PIPELINE / "config" / name for name in ("params.py", "consistency.py", "section.py", "stage.py")}
"""They read and check ``params.yaml`` for every stage: they can refuse it, and change no value."""


def body(name: str) -> dict:
    return STAGES[name].get("do", STAGES[name])


@cache
def imports(path: Path) -> frozenset[Path]:
    """Files of the package that a file imports, anywhere in it."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("pipeline"):
            names |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module}
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names if alias.name.startswith("pipeline")}
    return frozenset(file for name in names if (file := module_file(name)) is not None)


def module_file(name: str) -> Path | None:
    base = ROOT / name.replace(".", "/")
    return next((file for file in (base.with_suffix(".py"), base / "__init__.py") if file.is_file()), None)


def code_of(stage: str) -> set[Path]:
    """Every file whose change may change what a stage writes; packages' docstrings left out."""
    module = importlib.import_module(f"pipeline.{stage}")
    seen, todo = set(), [PIPELINE / f"{stage}.py", *(file for name in module.PARAMS for file in section_files(name))]
    while todo:
        current = todo.pop()
        if current not in seen | CHECKS:
            seen.add(current)
            todo += imports(current)
    modules = {path for path in seen if path.name != "__init__.py" or len(path.read_text().splitlines()) > 1}
    # A module may read the texts it holds from a file of its own name.
    return modules | {texts for path in modules if (texts := path.with_suffix(".yaml")).is_file()}


def section_files(name: str) -> set[Path]:
    """Files that define the types of a section of ``params.yaml``."""
    found, todo = set(), [Config.model_fields[name].annotation]
    while todo:
        kind = todo.pop()
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            found.add(module_file(kind.__module__))
        todo += [one for one in typing.get_args(kind) if one is not Ellipsis]
    return found


def declared(stage: str) -> list[str]:
    """The code among a stage's dependencies, as ``dvc.yaml`` has it."""
    return [dep for dep in body(stage)["deps"] if str(dep).startswith("pipeline/")]


def needed(stage: str) -> list[str]:
    """The code that a stage's dependencies are to list, its own module first."""
    own, code = PIPELINE / f"{stage}.py", code_of(stage)
    entries = {entry(path, code) for path in code - {own}}
    return [str(path.relative_to(ROOT)) for path in [own, *sorted(entries)]]


def entry(path: Path, code: set[Path]) -> Path:
    """What stands for a file: its package, where common or two thirds of it are imported; else itself."""
    if path.relative_to(PIPELINE).parts[0] in COMMONS:
        return PIPELINE / path.relative_to(PIPELINE).parts[0]
    modules = {file for file in path.parent.glob("*.py") if file.name != "__init__.py"}
    leaf = path.parent not in (PIPELINE, PIPELINE / "config") and not any(path.parent.glob("*/*.py"))
    return path.parent if leaf and len(modules) > 1 and 3 * len(modules & code) >= 2 * len(modules) else path
