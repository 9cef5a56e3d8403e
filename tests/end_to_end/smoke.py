"""A repository with the smoke preset: what it runs, and what its lock holds."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import yaml

from pipeline.tools.preset import sorted_by_kind

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
ENVIRONMENT = os.environ | {"PATH": f"{BIN}:{os.environ['PATH']}", "PYTHONPATH": "", "GIT_CONFIG_GLOBAL": os.devnull}


def sh(repo: Path, *command: str, check: bool = True) -> str:
    result = subprocess.run(command, cwd=repo, env=ENVIRONMENT, capture_output=True, text=True)
    assert result.returncode == 0 or not check, result.stdout[-3000:] + result.stderr[-3000:]
    return result.stdout + result.stderr


def repro(repo: Path, *options: str, check: bool = True) -> str:
    """What `make repro` runs, and what it has printed."""
    return sh(repo, sys.executable, "-m", "pipeline.tools.launch.quick_dvc", "repro", *options, check=check)


def commit(repo: Path, message: str) -> None:
    sh(repo, "git", "add", "-A")
    sh(repo, "git", "-c", "user.name=t", "-c", "user.email=t@example.org", "commit", "-qm", message, "--allow-empty")


def stages_run(repo: Path, *options: str) -> set[str]:
    """Stages that `dvc repro` runs. With `--dry`: those whose own code, parameters or inputs changed."""
    lines = repro(repo, *options).splitlines()
    return {line.split("'")[1] for line in lines if line.startswith("Running stage")}


def edit(repo: Path, change) -> None:
    path = repo / "params.yaml"
    params = yaml.safe_load(path.read_text())
    change(params)
    path.write_text(yaml.safe_dump(params, sort_keys=False))
    path.write_text(sorted_by_kind(path))


def cells_of(kind: str, *cells: str) -> set[str]:
    return {f"{stage}@{cell}" for stage in (f"finetune_{kind}", f"predict_{kind}", "evaluate") for cell in cells}


def lock_hashes(repo: Path) -> dict[str, dict[str, str]]:
    """Stage → output → hash."""
    stages = yaml.safe_load((repo / "dvc.lock").read_text())["stages"]
    return {name: {out["path"]: out["md5"] for out in stage["outs"]} for name, stage in stages.items()}


def make_repo(path: Path) -> Path:
    """The project as committed plus what is not yet, with the smoke preset, in a repository of its own."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    for name in listed.stdout.splitlines():
        made = name.startswith("results/") and not name.endswith("README.md")
        if made or name.startswith("docs/") or name == "dvc.lock" or not (ROOT / name).is_file():
            continue
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, path / name)
    sh(path, sys.executable, "-m", "pipeline.tools.preset", "smoke")
    sh(path, "git", "init", "-qb", "main")
    commit(path, "start")
    return path
