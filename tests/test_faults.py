"""Runs as they are really ended: kills at random moments, full disks. Every output is whole or absent, and the rerun
gives what an undisturbed run gives; nothing is left running, and no lock is left.

The 200 kills: ``python -m pytest tests/test_faults.py -m slow -s``, about a quarter of an hour.
"""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from pipeline.tools.launch.quick_dvc import QUICK_DVC
from pipeline.tools.preset import compose
from tests.end_to_end.smoke import commit, edit, make_repo, sh
from tests.faults import Victim, digest, finish, hidden, start, torment

PYTHON = sys.executable
CELL = ["--labels", "8", "--replicate", "0"]
TRAIN = ["--train", "data/cohorts/train/phantom_a"]
SMALL = {"phantom_a": 40, "phantom_b": 6, "phantom_c": 6, "phantom_d": 8}


def module(name: str, *arguments: str) -> list[str]:
    return [PYTHON, "-m", f"pipeline.{name}", *arguments]


def test_a_few_kills(tmp_path, root, ring):
    """The short form: a stage on a small folder of one's own."""
    from PIL import Image

    for kind in ("images", "masks"):
        (tmp_path / "raw" / kind).mkdir(parents=True)
    for i in range(6):
        case = ring(i)
        for kind, pixels in (("images", case.image), ("masks", case.mask)):
            Image.fromarray(pixels).save(tmp_path / "raw" / kind / f"{case.id}.png")
    (tmp_path / "params.yaml").write_text(compose(root / "presets", "smoke"))
    paths = ["--params", str(tmp_path / "params.yaml"), "--raw", str(tmp_path / "raw"), "--out", str(tmp_path / "out")]
    prepare = module("prepare", "--cohort", "phantom_b", *paths)
    tally = torment(Victim("prepare", prepare, [tmp_path / "out"], kills=3, folder=root), seed=1)
    assert not tally.faults() and tally.kills == 3


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    """A repository in which a small pipeline has run up to its predictions."""
    path = make_repo(tmp_path_factory.mktemp("faults"))

    def change(params):
        params["phantom"]["cases"] = SMALL
        params["grid"]["arms"] = ["real", "warped"]
        params["diffusion"].update(steps=60, checkpoint_every=10)
        params["sample"]["count"] = 64
        params["segmenters"]["sam"]["steps"] = 120

    edit(path, change)
    sh(path, "dvc", "repro", "sample@8-0", "predict_sam@sam-8-0-real", "assemble_labels@8-0-warped")
    sh(path, "dvc", "remote", "add", "-d", "storage", str(path.with_name("remote")))
    commit(path, "results")
    return path


def stages(project: Path) -> list[Victim]:
    """Stages by hand."""
    out = {
        "phantom": [], "prepare": ["--cohort", "phantom_a"], "unlabelled": [*TRAIN, "--source", TRAIN[1], *CELL],
        "assemble_labels": [*TRAIN, *CELL, "--arm", "warped"],
        "encode_views": [*TRAIN, "--unlabelled", "data/pseudo/8-0", *CELL],
        "train_diffusion": ["--views", "data/views/8-0", *CELL, "--live", "again/live"],
        "sample": [*TRAIN, "--diffusion", "models/diffusion/8-0", "--masks", "data/masks", *CELL,
                   "--variety", "again/variety"],
        "finetune_sam": [*TRAIN, "--segmenter", "sam", "--base", "models/base/sam", "--extra", "data/arms/8-0-real",
                         *CELL, "--arm", "real", "--metrics", "again/metrics.json", "--live", "again/live"],
        "predict_sam": ["--base", "models/base/sam", "--segmenter", "models/segmenter/sam-8-0-real",
                        "--test", TRAIN[1], "--held-out", "data/cohorts/held_out"],
    }  # fmt: skip
    more = {"sample": ["variety"], "finetune_sam": ["metrics.json"]}
    # A loss curve is there to be looked at while it grows.
    after = {name: [project / "again/live/plots"] for name in ("train_diffusion", "finetune_sam")}
    kills = {"phantom": 25, "prepare": 30, "unlabelled": 15, "assemble_labels": 15, "predict_sam": 8}
    return [
        Victim(
            name,
            module(name, *arguments, "--out", "again/out"),
            [project / "again" / one for one in ("out", *more.get(name, []))],
            kills.get(name, 10),
            project,
            after=after.get(name, []),
        )
        for name, arguments in out.items()
    ]


TARGETS = ["prepare@phantom_b", "prepare@phantom_c", "unlabelled@8-0", "assemble_labels@8-0-warped"]


def runs(project: Path) -> list[Victim]:
    """DVC, and what runs stages through it."""
    lock = project / "dvc.lock"
    locked = yaml.safe_load(lock.read_text())
    outputs = [project / out["path"] for name in TARGETS for out in locked["stages"][name]["outs"]]
    kept = {name: stage for name, stage in locked["stages"].items() if name not in TARGETS}

    def reset():
        lock.write_text(yaml.safe_dump(locked | {"stages": kept}, sort_keys=False))
        shutil.rmtree(project / ".dvc/cache/runs", ignore_errors=True)

    workspace, remote = project.with_name("cells"), project.with_name("remote")
    revision = sh(project, "git", "rev-parse", "HEAD").strip()
    cell = ["prepare@phantom_b", "--repository", str(project), "--revision", revision, "--workspace", str(workspace)]

    def empty():
        for folder in (workspace, remote):
            shutil.rmtree(folder, ignore_errors=True)

    common = {"outputs": outputs, "folder": project, "after": [lock], "reset": reset}
    return [
        Victim("dvc repro", ["dvc", "repro", *TARGETS], kills=25, **common),
        Victim("quick_dvc repro", [*QUICK_DVC, "repro", *TARGETS], kills=12, **common),
        Victim("workers", module("tools.workers", "--workers", "2", *TARGETS), kills=20, **common),
        Victim("cell", module("tools.cell", *cell), [], kills=4, folder=project, between=2, reset=empty),
    ]


def commands(project: Path) -> list[Victim]:
    """Folder commands."""
    for kind in ("images", "masks"):
        if not (project / "again" / kind).exists():
            shutil.copytree(project / "data/raw/phantom/phantom_b" / kind, project / "again" / kind)
    alone = project.with_name("alone")
    if not alone.exists():
        shutil.copytree(project / "presets", alone / "presets")
        (alone / "pipeline").symlink_to(project / "pipeline")
    out = ["--out", "again/out"]
    reading = ["make", "--synthetic", "data/synthetic/8-0", "--real", TRAIN[1], "--count", "10"]
    made = {
        "generate": (["--model", "models/diffusion/8-0", "--masks", "again/masks"], 8),
        "segment": (["--model", "models/segmenter/sam-8-0-real", "--images", "again/images"], 8),
        "blind_reading": (reading, 10),
    }
    victims = [
        Victim(name, module(f"tools.{name}", *arguments, *out), [project / "again/out"], kills, project, fresh=True)
        for name, (arguments, kills) in made.items()
    ]
    preset = Victim("preset", module("tools.preset", "smoke"), [alone / "params.yaml"], 12, alone)
    return [*victims, preset]


@pytest.mark.slow
def test_two_hundred_kills(project):
    victims = [*stages(project), *runs(project), *commands(project)]
    tallies = [torment(victim, seed=19) for victim in victims]
    faults = [fault for tally in tallies for fault in tally.faults()]
    kills, reruns = (sum(getattr(tally, what) for tally in tallies) for what in ("kills", "reruns"))
    print(f"{kills} kills, {reruns} reruns: {len(faults)} faults")
    assert kills >= 200
    assert not faults, "\n".join(faults)


@pytest.fixture
def disk(tmp_path):
    """Make a file system of so many kilobytes, or change its size."""
    folder = tmp_path / "disk"
    folder.mkdir()

    def sized(kilobytes: int) -> Path:
        how = ["remount,"] if folder.is_mount() else [""]
        words = ["mount", "-t", "tmpfs", "-o", f"{how[0]}size={kilobytes}k", "tmpfs", folder]
        if subprocess.run(words, capture_output=True).returncode:
            pytest.skip("no small file system can be mounted here (it takes root)")
        return folder

    yield sized
    subprocess.run(["umount", "-l", folder], check=False, capture_output=True)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["phantom", "prepare", "train_diffusion", "sample", "finetune_sam", "generate"])
def test_a_disk_that_fills(project, disk, name):
    (victim,) = (one for one in [*stages(project), *commands(project)] if one.name == name)
    victim.clear()
    finish(victim)
    whole, size = digest(project / "again/out"), sum(path.stat().st_size for path in project.glob("again/out/**/*"))
    target = disk(max(8, size // 2048)) / "out"
    victim.command = [str(target) if word == "again/out" else word for word in victim.command]
    process = start(victim, stderr=subprocess.PIPE, text=True)
    told = process.communicate()[1].splitlines()
    assert process.returncode == 2 and "Traceback" not in told
    assert (
        "No space left on device; free some room" in told[-1] and str(target) in told[-1] and ".partial" not in told[-1]
    )
    assert not list(target.parent.iterdir())
    disk(4 * size // 1024 + 1024)
    finish(victim)
    assert digest(target) == whole


@pytest.mark.slow
@pytest.mark.parametrize("name", ["train_diffusion", "sample"])
def test_a_full_disk_under_the_states_of_resuming(project, disk, name):
    (victim,) = (one for one in stages(project) if one.name == name)
    victim.clear()
    scratch = project / ".scratch"
    if scratch.exists():
        shutil.rmtree(scratch)
    scratch.symlink_to(disk(16))
    process = start(victim, stderr=subprocess.PIPE, text=True)
    told = process.communicate()[1].splitlines()
    scratch.unlink()
    assert process.returncode == 2 and "Traceback" not in told and "No space left on device" in told[-1]
    assert not victim.outputs[0].exists() and not hidden(victim)
