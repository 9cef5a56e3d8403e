"""Stages on other machines, with a small pipeline of its own: clones, a shared remote, Ray with a node that dies."""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest
import yaml

from pipeline.run.errors import InputError
from pipeline.tools.cell import _clone, pull_and_reproduce, reproduce_and_push
from pipeline.tools.cluster import add_arguments, pinned_revision, run_on_cluster
from pipeline.tools.command import build_parser
from tests.tools.dvc_folder import init_dvc

STAGE = """
import json, os, pathlib, sys, time
name, needs, pause = sys.argv[1], sys.argv[2].split(","), float(sys.argv[3])
with open(os.environ["TALLY"], "a") as tally:
    tally.write(f"start {name} {os.getpid()}\\n")
time.sleep(pause)
total = 1 + sum(int(pathlib.Path(one).read_text()) for one in needs if one)
pathlib.Path(f"{name}.txt").write_text(str(total))
pathlib.Path(f"{name}.json").write_text(json.dumps({"total": total}))
with open(os.environ["TALLY"], "a") as tally:
    tally.write(f"end {name} {os.getpid()}\\n")
"""


def stage(name, needs=(), pause=0.0):
    return {
        "cmd": f"python stage.py {name} '{','.join(f'{one}.txt' for one in needs)}' {pause}",
        "deps": ["stage.py", *(f"{one}.txt" for one in needs)],
        "outs": [f"{name}.txt", f"{name}.json"],
    }


CELLS = [f"cell{i}" for i in range(4)]


def git(repo, *arguments):
    identity = ("-c", "user.name=t", "-c", "user.email=t@example.org")
    subprocess.run(["git", *identity, *arguments], cwd=repo, check=True, capture_output=True)


@pytest.fixture
def pause():
    """Seconds that a cell takes at least."""
    return 0.0


@pytest.fixture
def project(tmp_path, monkeypatch, pause):
    """A repository with a stage, four cells on it, their sum, and a page with an output that git keeps."""
    tally = tmp_path / "tally"
    tally.touch()
    monkeypatch.setenv("TALLY", str(tally))
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    repo = tmp_path / "project"
    repo.mkdir()
    git(repo, "init", "-qb", "main")
    init_dvc(repo, git=True)
    (repo / "stage.py").write_text(STAGE)
    stages = {"first": stage("first"), **{name: stage(name, ["first"], pause) for name in CELLS}}
    stages["sum"] = stage("sum", CELLS)
    stages["page"] = stage("page", ["sum"]) | {"outs": ["page.txt", {"page.json": {"cache": False}}]}
    (repo / "dvc.yaml").write_text(yaml.safe_dump({"stages": stages}, sort_keys=False))
    (repo / ".gitignore").write_text("*.txt\n*.json\n")
    git(repo, "add", "-A")
    git(repo, "commit", "-qm", "start")
    monkeypatch.chdir(repo)
    return repo


def tallied(project, what):
    lines = (project.parent / "tally").read_text().splitlines()
    return sorted(line.split()[1] for line in lines if line.startswith(what))


def test_two_machines_share_the_work_and_a_third_finds_it_done(project, tmp_path):
    """Each machine is told one stage at a time, as a shell or Slurm would; nothing is run twice, and what is missing on
    the remote is run first.
    """
    revision, storage = pinned_revision(project), str(tmp_path / "remote")

    def on(machine, name):
        return reproduce_and_push(name, str(project), revision, tmp_path / machine, storage)

    assert on("a", "first") == ["first"]
    assert on("b", "cell0") == ["cell0"], "the first stage comes from machine a"
    assert on("a", "cell1") == ["cell1"]
    assert on("b", "sum") == ["cell2", "cell3", "sum"]
    assert on("a", "sum") == []
    assert pull_and_reproduce(project, [], storage) == ["page"], "what git keeps is in no remote"
    assert (project / "page.txt").read_text() == "10"
    assert tallied(project, "start") == sorted(["first", *CELLS, "sum", "page"])
    lock = yaml.safe_load((project / "dvc.lock").read_text())
    (project / "dvc.lock").unlink()
    subprocess.run(["dvc", "repro", "-q", "--force"], cwd=project, check=True, capture_output=True)
    assert yaml.safe_load((project / "dvc.lock").read_text()) == lock


def test_weights_put_under_dvc_reach_other_machines(project, tmp_path):
    """As models/pretrained is a dependency: the folder, of which git has a part and DVC another."""
    weights, storage = project / "weights", str(tmp_path / "remote")
    weights.mkdir()
    (weights / "README.md").write_text("weights of yours")
    (weights / "w.npz").write_text("41")
    pipeline = yaml.safe_load((project / "dvc.yaml").read_text())
    pipeline["stages"]["first"] |= {"cmd": "cp weights/w.npz first.txt && cp weights/w.npz first.json"}
    pipeline["stages"]["first"]["deps"].append("weights")
    (project / "dvc.yaml").write_text(yaml.safe_dump(pipeline, sort_keys=False))
    for command in (
        ("add", "-q", "weights/w.npz"),
        ("remote", "add", "-q", "-d", "--local", "shared", storage),
        ("push",),
    ):
        subprocess.run(["dvc", *command], cwd=project, check=True, capture_output=True)
    git(project, "add", "-A")
    git(project, "commit", "-qm", "weights")
    ran = reproduce_and_push("cell0", str(project), pinned_revision(project), tmp_path / "a", storage)
    assert ran == ["first", "cell0"]
    (made,) = (tmp_path / "a").glob("*/cell0.txt")
    assert made.read_text() == "42"


def test_the_command_line_says_what_it_ran_and_what_is_wrong(project, tmp_path):
    def cell(name):
        options = {"repository": project, "revision": pinned_revision(project), "workspace": tmp_path / "a"}
        command = [sys.executable, "-m", "pipeline.tools.cell", name, "--storage", tmp_path / "remote"]
        command += [part for key, value in options.items() for part in (f"--{key}", value)]
        return subprocess.run([str(one) for one in command], capture_output=True, text=True)

    assert cell("first").stdout.split() == ["first"]
    failed = cell("nothing")
    assert failed.returncode == 2 and "nothing" in failed.stderr and "Traceback" not in failed.stderr


def test_changes_that_no_other_machine_could_see_are_refused(project):
    (project / "stage.py").write_text(STAGE + "# changed")
    with pytest.raises(InputError, match=r"commit or undo the changes to stage\.py"):
        pinned_revision(project)


def test_a_clone_that_a_killed_process_left_behind_is_not_used_again(project, tmp_path):
    def clone():
        return _clone(tmp_path / "a", str(project), pinned_revision(project))

    with clone() as left:
        pass
    with clone() as again:
        assert again == left, "nobody was using it"
    left.with_suffix(".busy").touch()
    with clone() as other:
        assert other.name == f"{left.name[:-1]}1" and (other / "stage.py").is_file()


def on_ray(project, cluster, tmp_path, *more):
    folders = ["--workspace", str(tmp_path / "nodes"), "--storage", str(tmp_path / "remote")]
    options = ["--address", cluster.address, "--repository", str(project), *folders, *more]
    return run_on_cluster(build_parser(add_arguments).parse_args(options), project)


@pytest.fixture
def cluster():
    """A Ray cluster on this machine: a head without processors and two nodes of one."""
    pytest.importorskip("ray", reason="ray is not installed")
    from ray.cluster_utils import Cluster

    made = Cluster(
        initialize_head=True,
        head_node_args={"num_cpus": 0, "include_dashboard": False, "object_store_memory": 80_000_000},
    )
    for _ in range(2):
        made.add_node(num_cpus=1, object_store_memory=80_000_000)
    made.wait_for_nodes()
    yield made
    made.shutdown()


@pytest.mark.slow
@pytest.mark.parametrize("pause", [4.0])
def test_a_grid_on_ray_outlives_a_node_that_is_killed_in_the_middle_of_a_cell(project, cluster, tmp_path):
    killed = []

    def kill_a_node_at_work():
        # Both nodes are at work when two cells have started and not ended.
        while len(tallied(project, "start")) - len(tallied(project, "end")) < 2:
            time.sleep(0.05)
        at_work = psutil.Process(int((tmp_path / "tally").read_text().split()[-1]))
        worker = next(one for one in at_work.parents() if "ray::" in one.name())
        killed.extend([worker.parent(), worker])
        for process in killed:
            process.kill()

    killer = threading.Thread(target=kill_a_node_at_work, daemon=True)
    killer.start()
    ran = on_ray(project, cluster, tmp_path)
    killer.join()
    assert len(killed) == 2 and sorted(ran) == sorted(["first", *CELLS, "sum"])
    # The node died at work: some cell started twice, and none ended twice.
    assert len(tallied(project, "start")) > 6
    assert tallied(project, "end") == sorted(["first", *CELLS, "sum"])
    assert pull_and_reproduce(project, [], str(tmp_path / "remote")) == ["page"]
    assert (project / "page.txt").read_text() == "10"


def test_a_stage_that_fails_on_ray_is_named_and_not_tried_again(project, cluster, tmp_path):
    (project / "stage.py").write_text(STAGE + "sys.exit('no space' if name == 'cell2' else 0)\n")
    git(project, "commit", "-qam", "broken")
    with pytest.raises(InputError, match="stage cell2 failed.*not run for that: sum$"):
        on_ray(project, cluster, tmp_path, "--keep-going", "sum")
    assert tallied(project, "start").count("cell2") == 1
    assert tallied(project, "end") == ["cell0", "cell1", "cell2", "cell3", "first"]
