"""Grids that grow, shrink, are shared by two workers or run twice, with real training: minutes."""

import json
import re
import shutil
import sys

import pytest
import yaml

from pipeline.data.dataset import read_images
from tests.end_to_end.smoke import cells_of, edit, lock_hashes, make_repo, repro, sh, stages_run

pytestmark = pytest.mark.slow


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
    output = repro(clone, check=False)
    assert "are the same image (equal), so it would be tested on what was trained on" in output
    assert {line.split("'")[1] for line in output.splitlines() if line.startswith("Running stage")} == again
    assert not (clone / "data/cohorts_checked.txt").exists()


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


def test_a_removed_arm_leaves_no_trace(clone):
    edit(clone, lambda p: p["grid"]["arms"].remove("warped"))
    repro(clone)
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


def test_two_full_runs_give_equal_hashes(repo, tmp_path):
    again = make_repo(tmp_path)
    sh(again, "dvc", "repro")
    assert lock_hashes(again) == lock_hashes(repo)
