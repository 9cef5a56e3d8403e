import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import yaml

from pipeline.run.errors import InputError
from pipeline.tools.workers import run_all
from tests.tools.dvc_folder import init_dvc

NEEDS = {
    "a": set(), "b": {"a"}, "c": {"a"}, "d": {"b", "c"}, "e": set(),
}  # fmt: skip


@pytest.mark.parametrize("chained", [True, False])
@pytest.mark.parametrize("workers", [1, 2, 5])
def test_every_stage_runs_once_after_what_it_needs(workers, chained):
    started, ended, lock = [], set(), threading.Lock()

    def start(stages, worker):
        for stage in stages:
            with lock:
                assert NEEDS[stage] <= ended and 0 <= worker < workers
                started.append(stage)
            time.sleep(0.01)
            with lock:
                ended.add(stage)

    run_all(NEEDS, workers, start, chained)
    assert sorted(started) == sorted(NEEDS) and ended == set(NEEDS)


def test_independent_stages_run_at_the_same_time():
    meet = threading.Barrier(2, timeout=5)

    def start(stages, worker):
        meet.wait()

    run_all({"a": set(), "b": set()}, 2, start)


def test_two_stages_never_share_a_worker():
    busy, lock = set(), threading.Lock()

    def start(stages, worker):
        with lock:
            assert worker not in busy
            busy.add(worker)
        time.sleep(0.005)
        with lock:
            busy.remove(worker)

    run_all({str(i): set() for i in range(20)}, 3, start)


@pytest.mark.parametrize("chained", [True, False])
def test_after_a_failure_nothing_new_starts(chained):
    started = []

    def start(stages, worker):
        for stage in stages:
            started.append(stage)
            if stage == "b":
                return stage, "failed"
        return None

    with pytest.raises(InputError, match="^stage b failed; not run for that: c, d$"):
        run_all({"a": set(), "b": {"a"}, "c": {"b"}, "d": {"c"}}, 1, start, chained)
    assert started == ["a", "b"]


# A gate that rejects one of two sets: the cells of the other one are run, and so is a page of those.
GATED = {
    "set-x": set(), "gate-x": {"set-x"}, "train-x": {"gate-x"}, "score-x": {"train-x"},
    "set-y": set(), "gate-y": {"set-y"}, "train-y": {"gate-y"}, "score-y": {"train-y"},
    "compare": {"score-x", "score-y"}, "page-y": {"score-y"},
}  # fmt: skip


@pytest.mark.parametrize("chained", [True, False])
@pytest.mark.parametrize("workers", [1, 3])
def test_keep_going_runs_all_that_does_not_need_what_failed(workers, chained):
    def start(stages, worker):
        return ("gate-x", "was rejected") if "gate-x" in stages else None

    with pytest.raises(InputError, match="^stage gate-x was rejected; not run for that: train-x, score-x, compare$"):
        run_all(GATED, workers, start, chained, keep_going=True)


def test_without_failures_nothing_is_said():
    run_all(GATED, 2, lambda stages, worker: None)


@pytest.mark.parametrize(
    ("options", "made", "words"),
    [
        (["--keep-going"], {"a", "c", "d"}, "stage b failed: ERROR: failed to reproduce 'b'"),
        (["--keep-going", "c"], {"a", "c"}, None),
        ([], None, "stage b failed"),
    ],
)
def test_the_command_names_what_failed_and_what_was_not_run(tmp_path, options, made, words):
    """a, then b, which fails, and c beside it; d follows c, and e needs b."""
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}

    def run(*command):
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=environment)

    stages = {"a": [], "b": ["a"], "c": ["a"], "d": ["c"], "e": ["b"]}
    whole = {
        name: {"cmd": f"echo {name} > {name}" if name != "b" else "exit 3", "deps": deps, "outs": [name]}
        for name, deps in stages.items()
    }
    (tmp_path / "dvc.yaml").write_text(yaml.safe_dump({"stages": whole}))
    init_dvc(tmp_path)
    result = run(sys.executable, "-m", "pipeline.tools.workers", "--workers", "1", *options)
    assert result.returncode == (2 if words else 0), result.stderr
    if words:
        assert words in result.stderr and "not run for that: " in result.stderr and "Traceback" not in result.stderr
    if made:
        assert {path.name for path in tmp_path.iterdir() if path.name in stages} == made
        assert set(yaml.safe_load((tmp_path / "dvc.lock").read_text())["stages"]) == made


def test_outside_a_project_the_command_says_so(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "pipeline.tools.workers"], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 2 and done.stderr.startswith("ERROR you are not inside of a DVC repository")
    assert done.stderr.count("\n") == 1


def test_stages_of_a_cell_share_a_start_and_what_could_run_beside_does_not():
    """train → predict → evaluate of two cells, then one page; the set's three readers are for three workers."""
    needs = {"set": set(), "score": {"set"}, "use": {"set"}}
    for cell in "xy":
        needs |= {
            f"train-{cell}": {"set"},
            f"predict-{cell}": {f"train-{cell}"},
            f"evaluate-{cell}": {f"predict-{cell}"},
        }
    needs["page"] = {"score", "use", "evaluate-x", "evaluate-y"}
    chains = []
    run_all(needs, 2, lambda stages, worker: chains.append(list(stages)))
    assert ["set"] in chains and ["train-x", "predict-x", "evaluate-x"] in chains
    assert ["score"] in chains and ["use"] in chains
    assert sorted(stage for chain in chains for stage in chain) == sorted(needs)
