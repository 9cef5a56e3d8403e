"""What runs stages ends them too; a checkout may lie anywhere and need not be a git repository."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import yaml

from pipeline.run.parents import GRACE
from pipeline.tools.launch.quick_dvc import QUICK_DVC
from tests.ended import outliving
from tests.tools.dvc_folder import init_dvc

PYTHON = sys.executable
ODD = "a b&c('d;e)é$f"
"""What a folder may be called."""
STAGE = "import os, time; open('started', 'w').write(str(os.getpid())); time.sleep(60)"


def environment(root: Path) -> dict[str, str]:
    return os.environ | {"PATH": f"{Path(PYTHON).parent}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": str(root)}


@pytest.fixture
def repo(tmp_path):
    """A repository of DVC alone, in a folder with an odd name: one stage that takes a minute, and one after it."""
    folder = tmp_path / ODD
    folder.mkdir()
    (folder / "stage.py").write_text(STAGE)
    stages = {"long": {"cmd": "python stage.py", "outs": ["a"]}, "next": {"cmd": "touch b", "deps": ["a"]}}
    (folder / "dvc.yaml").write_text(yaml.safe_dump({"stages": stages}))
    init_dvc(folder)
    return folder


COMMANDS = {"quick_dvc": (*QUICK_DVC, "repro", "--keep-going"), "workers": (PYTHON, "-m", "pipeline.tools.workers")}


# A shell that does not become its last command, as bash does, stands between DVC and the stage; or what forks it.
@pytest.mark.parametrize("between", ["shell", "nothing", "fork_server"])
@pytest.mark.parametrize(
    ("name", "number", "status"),
    [
        ("quick_dvc", "SIGTERM", 143),
        ("workers", "SIGTERM", 143),
        ("workers", "SIGINT", 130),
        ("workers", "SIGKILL", -9),
    ],
)
def test_a_signal_ends_the_stage_too(repo, root, name, number, status, between):
    pipeline = yaml.safe_load((repo / "dvc.yaml").read_text())
    long = pipeline["stages"]["long"]
    long["cmd"] = {"shell": f"{long['cmd']} && true", "nothing": long["cmd"], "fork_server": "python -m stage"}[between]
    (repo / "dvc.yaml").write_text(yaml.safe_dump(pipeline))
    if between == "fork_server":
        (repo / "stage.py").write_text(f"from pipeline.run.parents import follow\nfollow()\n{STAGE}")
    process = subprocess.Popen(COMMANDS[name], cwd=repo, env=environment(root), stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not ((repo / "started").exists() and (repo / "started").read_text()):
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.02)
    below = psutil.Process(process.pid).children(recursive=True)
    assert int((repo / "started").read_text()) in {one.pid for one in below}
    process.send_signal(signal.Signals[number])
    told = process.communicate(timeout=60)[1]
    assert process.returncode == status and "Traceback" not in told
    # Sooner than what does not hear of the signal is killed, and than the stage ends by itself.
    assert not outliving(below, GRACE / 2)
    assert not (repo / "b").exists()
    if name == "workers" and status > 0:
        assert told == f"ERROR ended by {number} before it was done; nothing half-written is left\n"


@pytest.fixture
def archive(tmp_path, root):
    """The project as a source archive has it, in a folder with an odd name, beside the environment that is there."""
    folder = tmp_path / ODD
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=root, capture_output=True, text=True, check=True).stdout
    for name in listed.split("\0"):
        needed = name.startswith(("pipeline/", "presets/", "models/", "data/", ".dvc")) or "/" not in name
        if needed and (root / name).is_file() and name != "dvc.lock":
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(root / name, folder / name)
    (folder / ".venv").symlink_to(sys.prefix)
    return folder


def make(folder: Path, root: Path, *words: str) -> subprocess.CompletedProcess:
    there = ["--old-file", ".venv/.ready"] if "--always-make" not in words else []
    # Below `make test` it would say which folder it enters.
    words = ("--no-print-directory", *words)
    done = subprocess.run(["make", *there, *words], cwd=folder, env=environment(root), capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done


RAW = {"phantom_b": "data/raw/My Drive é/a&b", "phantom_c": "data/raw/it's (1); touch pwned", "phantom_d": "-raw $HOME"}


def test_a_raw_path_reaches_no_shell_and_git_is_not_needed(archive, root, ring):
    from PIL import Image

    make(archive, root, "preset", "PRESET=smoke")
    params = yaml.safe_load((archive / "params.yaml").read_text())
    case = ring(0)
    for cohort, raw in RAW.items():
        params["cohorts"][cohort]["raw"] = raw
        for kind, pixels in (("images", case.image), ("masks", case.mask)):
            (archive / raw / kind).mkdir(parents=True)
            Image.fromarray(pixels).save(archive / raw / kind / "one.png")
    (archive / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    words = [*QUICK_DVC, "repro", "--single-item", *(f"prepare@{cohort}" for cohort in RAW)]
    done = subprocess.run(words, cwd=archive, env=environment(root), capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(list(archive.glob("data/cohorts/*/*/dataset.json"))) == len(RAW)
    assert sorted(path.name for path in archive.rglob("*pwned")) == ["it's (1); touch pwned"]
    # The folder is no git repository: DVC is told so for good.
    assert "core.no_scm is now true in .dvc/config" in done.stderr and "experiments need git" in done.stderr


def test_make_repro_says_its_commands_in_any_folder(archive, root):
    told = make(archive, root, "--dry-run", "repro").stdout
    assert "quick_dvc repro" in told and ODD not in told
    told = make(archive, root, "--dry-run", "--always-make", "repro").stdout
    assert "venv" in told and "requirements.lock" in told and ODD not in told
