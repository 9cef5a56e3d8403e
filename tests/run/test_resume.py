import sys
from pathlib import Path

import pytest

from pipeline.run import resume
from pipeline.run.resume import Scratch

ROOT = Path(__file__).parents[2]


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A stage of a package: it imports a domain, inside a function a backend, and through these a loop; no report."""
    folder = tmp_path / "pipeline"
    texts = {
        "stage.py": "import os\nfrom pipeline.domain import model\n",
        "__init__.py": "",
        "domain/__init__.py": "",
        "domain/model.py": "def build():\n    from pipeline.domain.backend import (\n        Backend,\n    )\n",
        "domain/backend.py": "import pipeline.loop\nimport numpy as np\n",
        "loop.py": "from pipeline.stage import x\n",
        "report.py": "from pipeline.domain import model\n",
    }
    for name, text in texts.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    monkeypatch.setattr(resume, "PACKAGE", folder)
    monkeypatch.setattr(sys.modules["__main__"], "__file__", str(folder / "stage.py"), raising=False)
    return folder


def test_a_stage_depends_on_all_it_may_import_and_on_nothing_else(package):
    found = {path.relative_to(package).as_posix() for path in resume.code_of_this_program()}
    assert found == {"__init__.py", "stage.py", "domain/__init__.py", "domain/model.py", "domain/backend.py", "loop.py"}


@pytest.mark.parametrize(("name", "kept"), [("report.py", True), ("loop.py", False), ("domain/backend.py", False)])
def test_a_state_outlives_changes_to_code_that_the_stage_does_not_use(package, tmp_path, name, kept):
    Scratch(tmp_path / "scratch", "work", []).save({"step": 1})
    (package / name).write_text("changed = True\n")
    assert (Scratch(tmp_path / "scratch", "work", []).load() is not None) == kept


def test_what_trains_does_not_depend_on_reports_or_commands():
    files = {
        path.relative_to(ROOT / "pipeline").as_posix() for path in resume.code_of(ROOT / "pipeline/finetune_sam.py")
    }
    assert {"finetune_sam.py", "run/resume.py", "networks/segmenter.py"} <= files
    assert not [file for file in files if file.startswith(("comparison/", "quality/", "tools/", "cohorts/"))]


def test_a_program_from_elsewhere_depends_on_the_whole_package():
    assert resume.code_of_this_program() == [ROOT / "pipeline"]
