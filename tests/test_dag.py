"""dvc.yaml, held against the imports, the parameters and the signatures of the stage modules."""

import ast
import importlib
import re
import subprocess
from pathlib import Path

import pytest

from pipeline.config.params import Config
from pipeline.run.stage import _arguments
from tests.dag import PIPELINE, ROOT, STAGES, body, code_of, declared, imports, needed

ORDER = (
    "run", "config", "imaging", "data", "decoding", "networks", "features", "simulation", "learning",
    "semi_supervision", "cohorts", "tasks", "diffusion", "arms", "quality", "comparison", "stages", "tools",
)  # fmt: skip
"""Each package imports only those before it, and itself."""


def test_top_level_modules_are_the_stages():
    assert {path.stem for path in PIPELINE.glob("*.py")} - {"__init__"} == set(STAGES)


@pytest.mark.parametrize("name", STAGES)
def test_deps_are_what_the_stage_imports(name):
    assert declared(name) == needed(name)


@pytest.mark.parametrize("name", STAGES)
def test_params_are_those_the_stage_declares(name):
    module = importlib.import_module(f"pipeline.{name}")
    sections = {key.split(".")[0] for key in body(name).get("params", ())}
    assert sections == set(module.PARAMS)
    assert sections <= set(Config.model_fields)


@pytest.mark.parametrize("name", STAGES)
def test_command_passes_exactly_the_arguments_of_the_stage(name):
    module = importlib.import_module(f"pipeline.{name}")
    command = body(name)["cmd"]
    assert re.search(rf"python -m pipeline\.{name}\s", command)
    passed = {flag.replace("-", "_") for flag in re.findall(r"--([a-z-]+)", command)}
    assert passed == {name for name, one in _arguments(module.run).items() if one.default is one.empty}


def test_no_shell_sees_a_path_of_the_user():
    """Names and numbers of the grid alone: a path may hold blanks, quotes and semicolons."""
    used = {key for name in STAGES for key in re.findall(r"\$\{(.*?)\}", body(name)["cmd"])}
    named = {"key", "item.role", "item.n", "item.r", "item.arm", "item.segmenter", "item.model", "age.segmenter"}
    assert used == named | {
        *("grid.train", "grid.foreign", "unlabelled.role", "unlabelled.cohort", "assemble.generous_labels")
    }


@pytest.mark.parametrize("name", STAGES)
def test_every_path_of_the_command_is_a_dep_or_an_out(name):
    stage = body(name)
    known = {str(dep) for dep in stage["deps"]}
    for item in [*stage.get("outs", []), *stage.get("metrics", [])]:
        known |= {item} if isinstance(item, str) else set(item)
    for path in re.findall(r"(?:data|models|results)/\S+", stage["cmd"]):
        assert path in known


@pytest.mark.parametrize("name", [name for name in STAGES if name != "compare"])
def test_every_stage_but_the_last_is_found_in_the_run_cache(name):
    """DVC remembers no run with an output outside its cache, unless that is a metric or a plot."""
    assert all(isinstance(item, str) for item in body(name)["outs"])


@pytest.mark.parametrize("name", STAGES)
def test_stages_are_short(name):
    lines = [line for line in (PIPELINE / f"{name}.py").read_text().splitlines() if line.strip()]
    assert len(lines) <= (100 if name == "compare" else 65)


def area(path: Path) -> str:
    parts = path.relative_to(PIPELINE).parts
    return parts[0] if len(parts) > 1 else "stages"


def test_packages_import_only_those_before_them():
    root = PIPELINE / "__init__.py"
    backwards = [
        f"{path.relative_to(ROOT)} imports {target.relative_to(ROOT)}"
        for path in sorted(PIPELINE.rglob("*.py"))
        for target in sorted(imports(path) - {root})
        if path != root and ORDER.index(area(target)) > ORDER.index(area(path))
    ]
    assert not backwards


@pytest.mark.parametrize("path", ["unlabelled.py", "pseudo_label.py", "tasks/segmentation/prediction.py"])
def test_no_mask_is_among_the_inputs(path):
    tree = ast.parse((PIPELINE / path).read_text())
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    assert "read_images" in names
    assert "read_dataset" not in names


PAGES = {"describe"}
GENERATOR = {"train_diffusion", "sample"}
OTHERS = {"finetune_semi", "finetune_pseudo"}
FINETUNE = {"finetune_sam", "finetune_unet", *OTHERS}
SEGMENTERS = {*FINETUNE, "predict_sam", "predict_unet"}
ASSEMBLE = {"assemble_labels", "assemble_generated", "assemble_generous"}
AGE_FEATURES = {"extract_features", "measure_masks", "measure_arm"}
AGE = {"cross_fit", *AGE_FEATURES, "fit_age", "predict_age"}
OF_ANY = {*OTHERS, "cross_fit", "measure_masks"}
SAM = {"base_sam", "finetune_sam", "predict_sam", "oracle", *OF_ANY}
UNET = {"base_unet", "finetune_unet", "predict_unet", *OF_ANY}
SMALL_NETWORKS = {"train_evaluation_network", "train_filter", "usefulness"}
EDITS = {
    "comparison/report/answers.py": {"compare"},
    "comparison/statistics/crossed.py": {"compare"},
    "quality/pages/page.py": {*PAGES, "compare"},
    "quality/pages/croissant.py": PAGES,
    "tools/export.py": set(),
    "tools/segment.py": set(),
    "tools/workers.py": set(),
    "tools/launch/quick_dvc.py": set(),
    "networks/sam/model.py": SAM,
    "networks/unet/model.py": UNET,
    "networks/small_unet.py": {*SMALL_NETWORKS, "pseudo_label", "score", "gate", "curate"},
    "tasks/segmentation/scores.py": {"evaluate"},
    "tasks/segmentation/surface.py": {"evaluate", "score", "compare"},
    "tasks/segmentation/biometry/angle.py": {"sample", "score", "evaluate", "compare", "assemble_labels"},
    "diffusion/pair_limits.py": {"sample", "assemble_labels"},
    "arms/derived.py": ASSEMBLE,
    "diffusion/denoiser/preconditioning.py": GENERATOR,
    "diffusion/codes/linear.py": {"encode_views", *GENERATOR},
    "diffusion/appearance.py": {"encode_views", *GENERATOR},
    "diffusion/views.py": {"encode_views", "train_diffusion"},
    "diffusion/stable_diffusion/contours.py": GENERATOR,
    "decoding/dicom.py": {"prepare", "sample"},
    "cohorts/psfhs.py": {"prepare"},
    "cohorts/doubles.py": {"prepare", "check_cohorts"},
    "simulation/head/tissue.py": {"phantom", "assemble_simulated"},
    "config/arms.py": {*ASSEMBLE, "assemble_simulated", *FINETUNE, "compare"},
    "config/params.py": set(),
    "config/binning.py": {"score", *AGE, "compare"},
    "features/radiomics/glcm.py": {"score", *AGE_FEATURES},
    "tasks/gestational_age/fusion.py": {"fit_age", "predict_age"},
    "learning/loop.py": {*SMALL_NETWORKS, "train_diffusion", *FINETUNE, "cross_fit", "fit_age", "predict_age"},
    "semi_supervision/contrast.py": OTHERS,
}  # fmt: skip
"""A file, and the stages that a change of it runs again themselves; what those change runs on."""


@pytest.mark.parametrize(("edited", "again"), EDITS.items())
def test_an_edit_runs_again_what_depends_on_it_and_nothing_else(edited, again):
    path = PIPELINE / edited
    assert path.is_file()
    exact = {name for name in STAGES if path in code_of(name)}
    listed = {
        name for name in STAGES if any(path == ROOT / dep or ROOT / dep in path.parents for dep in declared(name))
    }
    assert exact == again
    assert listed == again


def runs_again(change) -> set[str]:
    """Stages whose own dependencies or parameters a change of parameters touches, by the names in ``dvc.yaml``."""
    return {name for name in STAGES if any(change(str(key)) for key in body(name).get("params", ()))}


@pytest.mark.parametrize(
    ("key", "again"),
    [
        ("sample", {"sample"}),
        ("curate", {"curate"}),
        ("gate", {"gate"}),
        ("diffusion", {"train_diffusion"}),
        ("views", {"encode_views"}),
        ("score", {"score", "check_cohorts"}),
        ("unlabelled", {"unlabelled", "pseudo_label"}),
        ("grid", {"check_cohorts", "compare"}),
        ("kinds", set()),
        ("assemble", {"assemble_labels"}),
    ],
)
def test_a_parameter_runs_again_the_stages_that_read_it(key, again):
    assert runs_again(lambda param: param.split(".")[0] == key) == again


def sources(name: str, seen=()) -> set[str]:
    """The stages that a stage waits for."""
    made = [(str(path), stage) for stage in STAGES for path in body(stage)["outs"]]
    deps = {str(dep).replace("${assemble.generous_labels}", "${item.n}") for dep in body(name)["deps"]}
    parents = {stage for path, stage in made if path in deps}
    return parents | {one for parent in parents - set(seen) for one in sources(parent, (*seen, name))}


def test_nothing_is_trained_before_the_cohorts_are_checked():
    trained = [
        name for name in STAGES if re.match(r"train|finetune|unlabelled|pseudo|sample|assemble|usefulness", name)
    ]
    assert len(trained) > 8
    assert all("check_cohorts" in sources(name) for name in trained)


def test_the_folder_of_held_out_cohorts_is_there_without_one():
    """Stages depend on it: git brings it with a page in it that DVC does not see, so the page changes no stage."""
    from dvc.fs import localfs
    from dvc.ignore import DvcIgnoreFilter

    page = ROOT / "data/cohorts/held_out/README.md"
    assert page.is_file() and DvcIgnoreFilter(localfs, str(ROOT)).is_ignored_file(str(page))
    tracked = subprocess.run(["git", "ls-files", page.parent], cwd=ROOT, capture_output=True, text=True, check=True)
    assert tracked.stdout.split() == ["data/cohorts/held_out/README.md"]


def test_a_changed_held_out_cohort_retrains_nothing():
    """What is trained depends on the checks by a file that is always the same, and not on a held-out cohort itself."""
    after = {name for name in STAGES if any("held_out" in str(dep) for dep in body(name)["deps"])}
    predicting = {"predict_sam", "predict_unet", "oracle", "evaluate", "measure_masks", "predict_age"}
    assert after == {"check_cohorts", *predicting, "compare"}
    report, passed = body("check_cohorts")["outs"]
    assert [name for name in STAGES if report in body(name)["deps"]] == ["compare"]
    assert [name for name in STAGES if passed in body(name)["deps"]] == [
        "train_evaluation_network", "train_filter", "unlabelled", "assemble_labels",
        "assemble_simulated", "cross_fit",
    ]  # fmt: skip


def test_arms_without_a_generator_wait_for_no_sampler():
    """What a stage takes from which stage, arms apart: an arm's training sees the labels and its own extra cases."""
    assert not sources("assemble_labels") & {*GENERATOR, "curate", "gate", "score"}
    assert {"sample", "gate", "curate"} <= sources("assemble_generated")
    for kind in ("sam", "unet"):
        deps = {dep for dep in body(f"finetune_{kind}")["deps"] if not dep.startswith("pipeline/")}
        assert deps == {
            "models/base/${item.segmenter}",
            "data/cohorts/train/${grid.train}",
            "data/arms/${item.n}-${item.r}-${item.arm}",
        }
