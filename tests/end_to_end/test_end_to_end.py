"""The smoke preset from phantom to report, and what DVC promises about it: caching, versions, sharing."""

import json
import shutil
from pathlib import Path

import pytest

from pipeline import predict_sam, prepare
from pipeline.config.params import View, load_params
from pipeline.run.errors import InputError
from pipeline.run.stage import execute
from tests.end_to_end.smoke import commit, edit, lock_hashes, repro, sh, stages_run


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
    edit(clone, lambda p: p["gate"].update(mask_agreement=0.0))
    # The scores of an arm without the set are gone, from the cache too.
    lost = "data/evaluation/sam-8-0-warped.csv"
    digest = lock_hashes(clone)["evaluate@sam-8-0-warped"][lost]
    for path in (clone / lost, clone / ".dvc/cache/files/md5" / digest[:2] / digest[2:]):
        path.unlink()
    output = repro(clone, "--keep-going", check=False)
    assert "results/sets/8-0/index.html is rejected: mask agreement of 'head' is" in output
    assert "gate.mask_agreement allows 0" in output and "Traceback" not in output
    run = {line.split("'")[1] for line in output.splitlines() if line.startswith("Running stage")}
    assert run == {"gate@8-0", "evaluate@sam-8-0-warped"}


def test_other_limits_that_hold_assemble_again_and_train_nothing(clone):
    edit(clone, lambda p: p["gate"].update(mask_agreement=99.0))
    # Assembled to the same bytes: the limits that a set kept to are part of what the gate says.
    assert stages_run(clone) == {"gate@8-0", "assemble_generated@8-0-synthetic"}


def test_an_edit_of_the_code_runs_again_what_depends_on_it(clone):
    """Which stage depends on which file is held by tests/test_dag.py; of tools/export.py none does."""
    for file in (
        "comparison/report/answers.py",
        "diffusion/shape_model.py",
        "networks/unet/model.py",
        "tools/export.py",
    ):
        with (clone / "pipeline" / file).open("a") as module:
            module.write("# edited\n")
    assert stages_run(clone, "--dry") == {"compare", "sample@8-0", "finetune_semi@sam-8-0-dual"}


def test_changing_one_ratio_runs_that_arm_only_and_changing_the_sampler_nothing_before_sample(clone):
    def change(params):
        params["arms"]["synthetic"].update(ratio=1)
        params["sample"].update(steps=5)

    edit(clone, change)
    of_the_arm = {"assemble_generated@8-0-synthetic", "finetune_sam@sam-8-0-synthetic", "compare"}
    assert stages_run(clone, "--dry") == of_the_arm | {"sample@8-0"}


def test_a_colleague_pulls_and_runs_nothing(repo, tmp_path):
    shutil.copytree(repo, tmp_path / "mine", symlinks=True)
    mine, remote, theirs = (tmp_path / name for name in ("mine", "remote", "theirs"))
    sh(mine, "dvc", "remote", "add", "-d", "storage", str(remote))
    sh(mine, "dvc", "push")
    commit(mine, "remote")
    sh(tmp_path, "git", "clone", "-q", str(mine), str(theirs))
    sh(theirs, "dvc", "pull")
    assert "Data and pipelines are up to date" in sh(theirs, "dvc", "repro")


def test_a_mask_of_the_users_samples_another_set_and_git_checkout_brings_the_older_one_back(clone):
    import numpy as np
    from PIL import Image

    def synthetic():
        return {path.name: path.read_bytes() for path in (clone / "data/synthetic/8-0").iterdir()}

    before = synthetic()
    mask = np.zeros((60, 80), np.uint8)
    mask[15:45, 20:60] = 1
    Image.fromarray(mask).save(clone / "data/masks/mine.png")
    edit(clone, lambda p: p["sample"].update(masks={"parent": 0.5, "shape_model": 0.0, "user": 0.5}))
    assert stages_run(clone, "sample@8-0") == {"sample@8-0"}
    after = synthetic()
    assert after != before and json.loads(after["dataset.json"])["provenance"]["sample"]["masks"]["user"] == 0.5
    assert "mine.png" not in sh(clone, "git", "status", "--short"), "masks are the user's, not git's"
    commit(clone, "a mask")
    sh(clone, "git", "checkout", "-q", "HEAD~1")
    sh(clone, "dvc", "checkout")
    assert synthetic() == before


def test_predictions_do_not_depend_on_masks(repo, tmp_path, monkeypatch):
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
    monkeypatch.chdir(repo)
    trained = {"segmenter": Path("models/segmenter/sam-8-0-real"), "base": Path("models/base/sam")}
    images = {"test": tmp_path / "phantom_a", "held_out": tmp_path / "held_out"}
    params = View(load_params(repo / "params.yaml"), predict_sam.PARAMS)
    execute(predict_sam.run, params, trained | images | {"out": tmp_path / "out"})
    for path in (repo / "data/predictions/sam-8-0-real").iterdir():
        assert (tmp_path / "out" / path.name).read_bytes() == path.read_bytes()


def test_a_failing_stage_leaves_no_output_and_names_the_cohort(clone):
    shutil.rmtree(clone / "data/raw/phantom/phantom_b/masks")
    paths = {"raw": clone / "data/raw/phantom/phantom_b", "out": clone / "fresh"}
    params = View(load_params(clone / "params.yaml"), prepare.PARAMS)
    with pytest.raises(InputError, match="phantom_b"):
        execute(prepare.run, params, {"cohort": "phantom_b", **paths})
    assert not (clone / "fresh").exists()
