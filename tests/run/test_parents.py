"""A process ends with those that started it, killed or not; one that is started by hand outlives its shell."""

import os
import subprocess
import sys
import time

import psutil
import pytest

from tests.ended import ended, outliving

WORK = """
import sys, time
from pathlib import Path
from pipeline.run.ending import reported
from pipeline.run.outputs import written_whole
from pipeline.run.processes import pool

def wait(seconds):
    time.sleep(seconds)

with reported(), written_whole(Path("out")) as partial, pool(2) as workers:
    partial.write_text("half")
    futures = [workers.submit(wait, 0.1) for _ in range(600)]
    Path("started").write_text(" ".join(map(str, workers._processes)))
    for future in futures:
        future.result()
"""
STARTER = "import subprocess, sys; subprocess.run(['sh', '-c', sys.argv[1]])"


@pytest.fixture
def begin(root, tmp_path):
    """Start ``WORK`` by way of a shell from a Python process, with variables; gives that process and all below it."""
    (tmp_path / "work.py").write_text(WORK)
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("DVC_", "TORCHELASTIC"))}
    started = []

    def call(shell, first=STARTER, **variables):
        code = f"import os; os.environ.update({variables!r})\n{first}"
        process = subprocess.Popen(
            [sys.executable, "-c", code, shell], cwd=tmp_path, env=clean | {"PYTHONPATH": str(root)}
        )
        deadline = time.monotonic() + 20
        while not (tmp_path / "started").exists() or not (tmp_path / "started").read_text():
            assert time.monotonic() < deadline
            time.sleep(0.02)
        below = psutil.Process(process.pid).children(recursive=True)
        started.extend([psutil.Process(process.pid), *below])
        return process, below

    yield call
    for process in started:
        if process.is_running():
            process.kill()


def gone(processes, seconds=15):
    return not outliving(processes, seconds)


SHELLS = {"at once": f"exec '{sys.executable}' work.py", "between": f"'{sys.executable}' work.py; true"}


@pytest.mark.parametrize("shell", SHELLS)
def test_a_stage_and_its_workers_end_with_dvc(begin, tmp_path, shell):
    process, below = begin(SHELLS[shell], DVC_STAGE="prepare@x")
    assert len(below) == 3 + (shell == "between")
    process.kill()
    process.wait()
    assert gone(below)
    assert not (tmp_path / "out").exists() and not list(tmp_path.glob(".*")), "it has cleaned up"


def test_workers_end_with_a_stage_that_is_killed(begin):
    _, below = begin(SHELLS["at once"])
    below[0].kill()
    assert gone(below)


def test_a_program_ends_with_the_one_that_says_so(begin):
    first = f"import os; os.environ['PIPELINE_ENDS_WITH'] = str(os.getpid()); {STARTER}"
    process, below = begin(SHELLS["between"], first)
    process.kill()
    process.wait()
    assert gone(below)


def test_what_is_started_by_hand_outlives_its_shell(begin, tmp_path):
    process, below = begin(f"nohup '{sys.executable}' work.py > log 2>&1")
    process.kill()
    process.wait()
    shell, *work = below
    if shell.is_running():
        shell.kill()
    time.sleep(0.5)
    assert not any(map(ended, work))
    work[0].terminate()
    assert gone(work)


def test_a_stage_whose_dvc_is_gone_before_it_looks_ends(root, tmp_path):
    """The system has given it to a process that is no DVC."""
    (tmp_path / "work.py").write_text(WORK)
    shell = f"(sleep 0.3; exec '{sys.executable}' work.py) & echo $!"
    environment = os.environ | {"DVC_STAGE": "prepare@x", "PYTHONPATH": str(root)}
    command = [
        "setsid",
        "env",
        "-u",
        "DVC_STAGE",
        "sh",
        "-c",
        f"DVC_STAGE=prepare@x sh -c '{shell.replace(chr(39), chr(34))}'",
    ]
    told = subprocess.run(
        command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True, stderr=subprocess.DEVNULL
    )
    assert gone([int(told.stdout)], 20) and not (tmp_path / "out").exists()
