"""The smoke preset from phantom to report, and what DVC promises about it: caching, versions, sharing."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from pipeline.data.dataset import read_images
from pipeline.tools.preset import sorted_by_kind

ROOT = Path(__file__).parents[1]
BIN = Path(sys.executable).parent
ENVIRONMENT = os.environ | {"PATH": f"{BIN}:{os.environ['PATH']}", "PYTHONPATH": "", "GIT_CONFIG_GLOBAL": os.devnull}


def sh(repo: Path, *command: str, check: bool = True) -> str:
    result = subprocess.run(command, cwd=repo, env=ENVIRONMENT, capture_output=True, text=True)
    assert result.returncode == 0 or not check, result.stdout[-3000:] + result.stderr[-3000:]
    return result.stdout + result.stderr


def commit(repo: Path, message: str) -> None:
    sh(repo, "git", "add", "-A")
    sh(repo, "git", "-c", "user.name=t", "-c", "user.email=t@example.org", "commit", "-qm", message, "--allow-empty")


def stages_run(repo: Path, *options: str) -> set[str]:
    """Stages that `dvc repro` runs. With `--dry`: those whose own code, parameters or inputs changed."""
    lines = sh(repo, "dvc", "repro", *options).splitlines()
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


@pytest.fixture(scope="module")
def repo(tmp_path_factory) -> Path:
    """A repository in which the smoke preset has run and is committed."""
    path = make_repo(tmp_path_factory.mktemp("smoke"))
    sh(path, "dvc", "repro")
    commit(path, "smoke results")
    return path


@pytest.fixture
def clone(repo, tmp_path) -> Path:
    """A clone with all data in place, to be changed at will."""
    shutil.copytree(repo, tmp_path / "clone", symlinks=True)
    return tmp_path / "clone"


def test_report_and_metrics_are_there(repo):
    page = (repo / "results/report.html").read_text()
    assert "<html" in page and 'src="http' not in page
    metrics = json.loads((repo / "results/metrics.json").read_text())
    assert metrics
    assert "dice" in sh(repo, "dvc", "metrics", "show")
    shown = sh(repo, "dvc", "plots", "show", "-o", "plots", "--json")
    assert "results/distributions/8-0/mask_agreement.csv" in shown
    # The smoke preset asks for the oracle column of one arm.
    assert metrics["oracle_box"]["phantom_b"]["sam"]["n8"]["real"]["dice_ellipse_in_box"] > 0.8
    assert metrics["training"]["sam"]["n8"]["real"]["labels_seen"] == 8
    assert "With a box drawn from the reference" in page


def test_every_set_has_a_page_a_card_and_metadata(repo):
    folder = repo / "results/sets/8-0"
    assert {path.name for path in folder.iterdir()} == {"index.html", "README.md", "croissant.json"}
    metrics = json.loads((repo / "results/metrics.json").read_text())["synthetic"]["n8"]
    assert {"kid_domain", "kid_lite0", "two_sample_lite0", "brightness_spread", "radiomics", "copies"} <= set(metrics)
    assert {"dice_head", "tstr"} <= set(metrics)
    assert json.loads((repo / "results/gate/8-0.json").read_text())["passed"]["copies"] is None


def test_a_set_that_the_gate_rejects_stops_the_arms_that_use_it_alone(clone):
    def change(params):
        params["gate"].update(mask_agreement=0.0)
        params["arms"]["warped"].update(ratio=1)

    edit(clone, change)
    output = sh(clone, "dvc", "repro", "--keep-going", check=False)
    assert "results/sets/8-0/index.html is rejected: mask agreement of 'head' is" in output
    assert "gate.mask_agreement allows 0" in output and "Traceback" not in output
    run = {line.split("'")[1] for line in output.splitlines() if line.startswith("Running stage")}
    assert run == {"gate@8-0", "assemble_labels@8-0-warped"} | cells_of("sam", "sam-8-0-warped")


def test_other_limits_that_hold_assemble_again_and_train_nothing(clone):
    edit(clone, lambda p: p["gate"].update(mask_agreement=99.0))
    # Assembled to the same bytes: the limits that a set kept to are part of what the gate says.
    assert stages_run(clone) == {"gate@8-0", *(f"assemble_generated@8-0-{arm}" for arm in ("synthetic", "shuffled"))}


def test_a_second_run_runs_nothing(repo):
    assert "Data and pipelines are up to date" in sh(repo, "dvc", "repro")


@pytest.mark.parametrize(
    ("file", "again"),
    [
        ("comparison/report/answers.py", {"compare"}),
        ("tools/export.py", set()),
        ("networks/unet/model.py", {"finetune_semi@sam-8-0-dual"}),
        ("diffusion/shape_model.py", {"sample@8-0"}),
    ],
)
def test_an_edit_of_the_code_runs_again_what_depends_on_it(clone, file, again):
    with (clone / "pipeline" / file).open("a") as module:
        module.write("# edited\n")
    assert stages_run(clone, "--dry") == again


@pytest.mark.slow
def test_an_image_of_the_training_cohort_among_the_held_out_stops_the_run_before_anything_is_trained(clone):
    own, train = clone / "data/raw/mine", clone / "data/raw/phantom/phantom_a"
    shutil.copytree(clone / "data/raw/phantom/phantom_b", own)
    (own / "cases.csv").unlink()
    edit(clone, lambda p: p["cohorts"]["phantom_b"].update(raw="data/raw/mine"))
    # Another held-out cohort, of the same cases and no doubles, trains nothing.
    again = {"prepare@phantom_b", "check_cohorts"}
    assert again <= stages_run(clone, "--dry")
    for kind in ("images", "masks"):
        first = min((own / kind).iterdir())
        shutil.copyfile(min((train / kind).iterdir()), first)
    output = sh(clone, "dvc", "repro", check=False)
    assert "are the same image (equal), so it would be tested on what was trained on" in output
    assert {line.split("'")[1] for line in output.splitlines() if line.startswith("Running stage")} == again
    assert not (clone / "data/cohorts_checked.txt").exists()


def test_changing_one_ratio_runs_that_arm_only(clone):
    edit(clone, lambda p: p["arms"]["synthetic"].update(ratio=1))
    again = {"assemble_generated@8-0-synthetic", "finetune_sam@sam-8-0-synthetic", "compare"}
    assert stages_run(clone, "--dry") == again


@pytest.mark.slow
def test_adding_arms_runs_those_arms_only(clone):
    new = {
        "pasted": {"extra": "copy_paste", "ratio": 1},
        "alone": {"extra": "synthetic", "ratio": 2, "real": 0},
        "generous": {"extra": "synthetic", "ratio": 2, "curated": True, "generous": True},
    }

    def change(params):
        params["arms"] |= new
        params["grid"]["arms"] += list(new)
        params["assemble"]["generous_labels"] = 8

    edit(clone, change)
    assembled = {"assemble_labels@8-0-pasted", "assemble_generated@8-0-alone", "assemble_generous@8-0-generous"}
    assert stages_run(clone) == assembled | cells_of("sam", *(f"sam-8-0-{arm}" for arm in new)) | {"compare"}
    page = (clone / "results/report.html").read_text()
    assert "control: copy-paste" in page and "synthetic ×2" in page


@pytest.mark.slow
def test_a_second_segmenter_runs_its_own_cells_alone_and_a_frozen_encoder_sees_an_image_once(clone):
    def change(params):
        params["grid"].update(segmenters=["sam", "unet"], arms=["real"])
        params["oracle"]["arms"] = []
        sam = params["segmenters"]["sam"]
        sam.update(train="decoder", views=2)
        del sam["checkpointing"]

    edit(clone, change)
    cells = cells_of("sam", "sam-8-0-real") | cells_of("unet", "unet-8-0-real")
    assert stages_run(clone) == {"base_unet@unet", "compare", *cells}
    metrics = json.loads((clone / "results/metrics.json").read_text())
    assert set(metrics["phantom_b"]) == {"sam", "unet"}
    trained = json.loads((clone / "results/training/sam-8-0-real.json").read_text())
    assert 0 < trained["trainable_parameters"] < trained["parameters"]
    tested = sum(
        len(read_images(path, ["test"]))
        for path in (clone / "data/cohorts/train/phantom_a", *(clone / "data/cohorts/held_out").glob("phantom_*"))
    )
    assert len(list((clone / ".scratch/embeddings").rglob("*.npz"))) == 2 * 8 + tested


def test_changing_the_sampler_runs_nothing_before_sample(clone):
    edit(clone, lambda p: p["sample"].update(steps=5))
    assert stages_run(clone, "--dry") == {"sample@8-0"}


def test_a_mask_of_the_users_samples_again_and_nothing_before(clone):
    import numpy as np
    from PIL import Image

    mask = np.zeros((60, 80), np.uint8)
    mask[15:45, 20:60] = 1
    Image.fromarray(mask).save(clone / "data/masks/mine.png")
    edit(clone, lambda p: p["sample"].update(masks={"parent": 0.5, "shape_model": 0.0, "user": 0.5}))
    sh(clone, "dvc", "repro", "sample@8-0")
    index = json.loads((clone / "data/synthetic/8-0/dataset.json").read_text())
    assert index["provenance"]["sample"]["masks"]["user"] == 0.5
    assert "mine.png" not in sh(clone, "git", "status", "--short"), "masks are the user's, not git's"


@pytest.mark.slow
def test_a_removed_arm_leaves_no_trace(clone):
    edit(clone, lambda p: p["grid"]["arms"].remove("warped"))
    sh(clone, "dvc", "repro")
    assert not (clone / "data/evaluation/sam-8-0-warped.csv").exists()
    assert "warped" not in (clone / "results/scores.csv").read_text()
    assert not stages_run(clone)
    pruned = yaml.safe_load((clone / "dvc.lock").read_text())["stages"]["compare"]
    fresh = clone.with_name("fresh")
    # The same grid without a history: the same hashes of everything compare has read and written.
    shutil.copytree(clone, fresh, symlinks=True)
    for folder in ("data/evaluation", "data/predictions", "results/quality"):
        shutil.rmtree(fresh / folder)
    (fresh / "dvc.lock").write_text(
        yaml.safe_dump(
            {
                "schema": "2.0",
                "stages": {
                    name: stage
                    for name, stage in yaml.safe_load((fresh / "dvc.lock").read_text())["stages"].items()
                    if "warped" not in name and name != "compare"
                },
            }
        )
    )
    sh(fresh, "dvc", "checkout", "-f", check=False)
    sh(fresh, "dvc", "repro")
    assert yaml.safe_load((fresh / "dvc.lock").read_text())["stages"]["compare"] == pruned


@pytest.mark.slow
def test_two_workers_leave_the_lock_of_a_run_in_sequence(clone):
    lock = clone / "dvc.lock"
    whole = yaml.safe_load(lock.read_text())
    cells = ("sam-8-0-synthetic", "sam-8-0-warped")
    kept = {name: one for name, one in whole["stages"].items() if name.split("@")[-1] not in (*cells, "compare")}
    assert len(kept) == len(whole["stages"]) - 3 * len(cells) - 1
    lock.write_text(yaml.safe_dump(whole | {"stages": kept}))
    shutil.rmtree(clone / ".dvc/cache/runs")
    for cell in cells:
        shutil.rmtree(clone / "models/segmenter" / cell)
        shutil.rmtree(clone / "data/predictions" / cell)
        (clone / "data/evaluation" / f"{cell}.csv").unlink()
    output = sh(clone, sys.executable, "-m", "pipeline.tools.workers", "--workers", "2")
    assert re.search(rf"{len(whole['stages'])} of {len(whole['stages'])}, \d+ s: compare", output)
    assert yaml.safe_load(lock.read_text()) == whole
    assert "Data and pipelines are up to date" in sh(clone, "dvc", "repro")
    edit(clone, lambda p: p["arms"]["synthetic"].update(ratio=400))
    output = sh(clone, sys.executable, "-m", "pipeline.tools.workers", check=False)
    assert "FAILED" in output and "arm 'synthetic': ratio 400 of 8 labels" in output and "Traceback" not in output


def test_a_colleague_pulls_and_runs_nothing(repo, tmp_path):
    shutil.copytree(repo, tmp_path / "mine", symlinks=True)
    mine, remote, theirs = (tmp_path / name for name in ("mine", "remote", "theirs"))
    sh(mine, "dvc", "remote", "add", "-d", "storage", str(remote))
    sh(mine, "dvc", "push")
    commit(mine, "remote")
    sh(tmp_path, "git", "clone", "-q", str(mine), str(theirs))
    sh(theirs, "dvc", "pull")
    assert "Data and pipelines are up to date" in sh(theirs, "dvc", "repro")


def test_git_checkout_brings_an_older_synthetic_set_back(clone):
    before = {path.name: path.read_bytes() for path in (clone / "data/synthetic/8-0").iterdir()}
    edit(clone, lambda p: p["sample"].update(steps=5))
    sh(clone, "dvc", "repro", "sample@8-0")
    after = {path.name: path.read_bytes() for path in (clone / "data/synthetic/8-0").iterdir()}
    assert after != before
    commit(clone, "more steps")
    sh(clone, "git", "checkout", "-q", "HEAD~1")
    sh(clone, "dvc", "checkout")
    assert {path.name: path.read_bytes() for path in (clone / "data/synthetic/8-0").iterdir()} == before


def test_predictions_do_not_depend_on_masks(repo, tmp_path):
    """predict takes no mask: the same images with other valid masks give equal bytes."""
    import numpy as np

    from pipeline.data.dataset import read_dataset
    from pipeline.data.writer import write_dataset

    def rewrite(source: Path, target: Path) -> None:
        from dataclasses import replace

        dataset = read_dataset(source)
        corner = [np.zeros_like(case.mask) for case in dataset.cases]
        for mask in corner:
            mask[:5, :7] = 1
        cases = [replace(case, mask=mask) for case, mask in zip(dataset.cases, corner, strict=True)]
        write_dataset(target, cases, role=dataset.role, structures=dataset.structures)

    for name in ("phantom_b", "phantom_c"):
        rewrite(repo / "data/cohorts/held_out" / name, tmp_path / "held_out" / name)
    rewrite(repo / "data/cohorts/train/phantom_a", tmp_path / "phantom_a")
    command = [sys.executable, "-m", "pipeline.predict_sam", "--segmenter", "models/segmenter/sam-8-0-real"]
    command += ["--base", "models/base/sam"]
    command += [
        "--test",
        str(tmp_path / "phantom_a"),
        "--held-out",
        str(tmp_path / "held_out"),
        "--out",
        str(tmp_path / "out"),
    ]
    sh(repo, *command)
    for path in (repo / "data/predictions/sam-8-0-real").iterdir():
        assert (tmp_path / "out" / path.name).read_bytes() == path.read_bytes()


def test_a_failing_stage_leaves_no_output_and_names_the_cohort(clone):
    shutil.rmtree(clone / "data/raw/phantom/phantom_b/masks")
    output = sh(
        clone,
        *[sys.executable, "-m", "pipeline.prepare", "--cohort", "phantom_b", "--raw", "data/raw/phantom/phantom_b"],
        *["--out", "fresh"],
        check=False,
    )
    assert "phantom_b" in output and "Traceback" not in output
    assert not (clone / "fresh").exists()


@pytest.mark.slow
def test_two_full_runs_give_equal_hashes(repo, tmp_path):
    again = make_repo(tmp_path)
    sh(again, "dvc", "repro")
    assert lock_hashes(again) == lock_hashes(repo)


@pytest.mark.slow
def test_a_training_killed_five_times_ends_with_the_same_weights(repo, tmp_path):
    import random
    import signal
    import time

    shutil.copytree(repo, tmp_path / "killed", symlinks=True)
    killed = tmp_path / "killed"
    edit(killed, lambda p: p["diffusion"].update(steps=600, checkpoint_every=20))
    command = [sys.executable, "-m", "pipeline.train_diffusion", "--views", "data/views/8-0"]
    command += ["--labels", "8", "--replicate", "0"]
    sh(killed, *command, "--out", "whole", "--live", "live_whole")
    command += ["--out", "resumed", "--live", "live_resumed"]
    moments = random.Random(0)

    def newest_state() -> float:
        return max((path.stat().st_mtime for path in killed.glob(".scratch/diffusion-*/state.pt")), default=0.0)

    for _ in range(5):
        before = newest_state()
        process = subprocess.Popen(command, cwd=killed, env=ENVIRONMENT)
        # Wherever it is after it has saved something new: in a step, in a save, between two.
        deadline = time.monotonic() + 120
        while newest_state() == before and time.monotonic() < deadline and process.poll() is None:
            time.sleep(0.02)
        time.sleep(moments.uniform(0, 0.6))
        assert process.poll() is None, "the training ended before it could be killed; give it more steps"
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert not (killed / "resumed").exists()
    assert "resuming from step" in sh(killed, *command)
    weights = "unet/diffusion_pytorch_model.safetensors"
    assert (killed / "resumed" / weights).read_bytes() == (killed / "whole" / weights).read_bytes()
    curve = "plots/metrics/loss.tsv"
    assert (killed / "live_resumed" / curve).read_text() == (killed / "live_whole" / curve).read_text()
    preview = "plots/images/preview.png"
    assert (killed / "live_resumed" / preview).read_bytes() == (killed / "live_whole" / preview).read_bytes()


@pytest.mark.slow
def test_a_sampling_killed_in_the_middle_ends_with_the_same_shards(repo, tmp_path):
    import signal
    import time

    shutil.copytree(repo, tmp_path / "killed", symlinks=True)
    killed = tmp_path / "killed"
    edit(killed, lambda p: p["sample"].update(count=400, steps=20))
    command = [sys.executable, "-m", "pipeline.sample", "--diffusion", "models/diffusion/8-0"]
    command += ["--train", "data/cohorts/train/phantom_a", "--masks", "data/masks", "--labels", "8", "--replicate", "0"]
    sh(killed, *command, "--out", "whole", "--variety", "several")
    command += ["--variety", "several_too"]
    process = subprocess.Popen([*command, "--out", "resumed"], cwd=killed, env=ENVIRONMENT)
    deadline = time.monotonic() + 120
    while len(list(killed.glob(".scratch/sample-*/set-0/part-*"))) < 5 and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (killed / "resumed").exists()
    sh(killed, *command, "--out", "resumed")
    for path in (killed / "whole").iterdir():
        assert path.read_bytes() == (killed / "resumed" / path.name).read_bytes(), path.name
