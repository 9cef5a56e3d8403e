"""dvc.yaml, held against the imports, the parameters and the signatures of the stage modules."""

import ast
import importlib
import re
from pathlib import Path

import pytest
import yaml

from pipeline.config.params import Config
from pipeline.run.stage import _arguments

ROOT = Path(__file__).parents[1]
STAGES = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
ORDER = (
    "run", "config", "imaging", "data", "networks", "features", "simulation", "learning", "cohorts", "diffusion",
    "arms", "tasks", "quality", "comparison", "stages", "tools",
)  # fmt: skip
"""Each package imports only those before it, and itself."""


def body(name: str) -> dict:
    return STAGES[name].get("do", STAGES[name])


def imports(path: Path) -> set[Path]:
    """Files of the package that a file imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("pipeline"):
            found |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name.startswith("pipeline")}
    return {file for name in found if (file := module_file(name)) is not None}


def module_file(name: str) -> Path | None:
    base = ROOT / name.replace(".", "/")
    for candidate in (base.with_suffix(".py"), base / "__init__.py"):
        if candidate.is_file():
            return candidate
    return None


def reachable(path: Path) -> set[Path]:
    seen, todo = set(), [path]
    while todo:
        current = todo.pop()
        if current not in seen:
            seen.add(current)
            todo += imports(current)
    return seen - {ROOT / "pipeline/__init__.py"}


def test_top_level_modules_are_the_stages():
    assert {path.stem for path in (ROOT / "pipeline").glob("*.py")} - {"__init__"} == set(STAGES)


@pytest.mark.parametrize("name", STAGES)
def test_deps_cover_what_the_stage_imports_and_no_more(name):
    code = [ROOT / dep for dep in body(name)["deps"] if dep.startswith("pipeline/")]
    files = reachable(ROOT / f"pipeline/{name}.py")
    inits = {file for file in files if file.name == "__init__.py" and len(file.read_text().splitlines()) == 1}
    uncovered = [file for file in files - inits if not any(file == dep or dep in file.parents for dep in code)]
    assert not uncovered
    for dep in code:
        assert any(file == dep or dep in file.parents for file in files), f"{dep} is a dep but never imported"


@pytest.mark.parametrize("name", STAGES)
def test_params_are_those_the_stage_declares(name):
    module = importlib.import_module(f"pipeline.{name}")
    declared = {key.split(".")[0] for key in body(name).get("params", ())}
    assert declared == set(module.PARAMS)
    assert declared <= set(Config.model_fields)


@pytest.mark.parametrize("name", STAGES)
def test_the_stage_reads_no_other_parameter(name):
    source = (ROOT / f"pipeline/{name}.py").read_text()
    read = set(re.findall(r"params\.([a-z_]+)", source)) - {"held_out", "cells", "as_dict"}
    read = {"segmenters" if key == "segmenter" else key for key in read}
    assert read <= set(importlib.import_module(f"pipeline.{name}").PARAMS)


@pytest.mark.parametrize("name", STAGES)
def test_command_passes_exactly_the_arguments_of_the_stage(name):
    module = importlib.import_module(f"pipeline.{name}")
    command = body(name)["cmd"]
    assert f"python -m pipeline.{name} " in command
    passed = {flag.replace("-", "_") for flag in re.findall(r"--([a-z-]+)", command)}
    assert passed == set(_arguments(module.run))


@pytest.mark.parametrize("name", STAGES)
def test_every_path_of_the_command_is_a_dep_or_an_out(name):
    stage = body(name)
    known = {str(dep) for dep in stage["deps"]}
    for entry in [*stage.get("outs", []), *stage.get("metrics", [])]:
        known |= {entry} if isinstance(entry, str) else set(entry)
    for path in re.findall(r"(?:data|models|results)/\S+", stage["cmd"]):
        assert path in known


@pytest.mark.parametrize("name", [name for name in STAGES if name != "compare"])
def test_every_stage_but_the_last_is_found_in_the_run_cache(name):
    """DVC remembers no run with an output outside its cache, unless that is a metric or a plot."""
    assert all(isinstance(entry, str) for entry in body(name)["outs"])


def area(path: Path) -> str:
    parts = path.relative_to(ROOT / "pipeline").parts
    return parts[0] if len(parts) > 1 else "stages"


def test_packages_import_only_those_before_them():
    root = ROOT / "pipeline/__init__.py"
    backwards = [
        f"{path.relative_to(ROOT)} imports {target.relative_to(ROOT)}"
        for path in sorted((ROOT / "pipeline").rglob("*.py"))
        for target in sorted(imports(path) - {root})
        if path != root and ORDER.index(area(target)) > ORDER.index(area(path))
    ]
    assert not backwards


@pytest.mark.parametrize("name", ["predict", "pseudo_label"])
def test_no_mask_is_among_the_inputs(name):
    tree = ast.parse((ROOT / f"pipeline/{name}.py").read_text())
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    assert "read_images" in names
    assert "read_dataset" not in names
