import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.run import files, stage
from pipeline.run.cells import cell_name, prune_cells, prune_datasets
from pipeline.run.resume import Scratch

ROOT = Path(__file__).parents[2]


def test_digest_sees_content_names_and_values(tmp_path):
    (tmp_path / "a").write_text("1")
    first = files.digest([tmp_path], {"x": 1})
    assert files.digest([tmp_path], {"x": 1}) == first
    assert files.digest([tmp_path], {"x": 2}) != first
    (tmp_path / "a").rename(tmp_path / "b")
    assert files.digest([tmp_path], {"x": 1}) != first


def test_prune_removes_only_what_left_the_grid(tmp_path):
    for name in ("10-0-real.csv", "10-0-gone.csv", ".gitignore", "notes.csv"):
        (tmp_path / name).write_text("")
    (tmp_path / "10-1").mkdir()
    prune_cells(tmp_path, {cell_name(10, 0, "real")})
    assert sorted(path.name for path in tmp_path.iterdir()) == [".gitignore", "10-0-real.csv", "notes.csv"]


def test_prune_never_removes_what_is_no_dataset(tmp_path):
    for name in ("spanish", "gone"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "dataset.json").write_text("{}")
    (tmp_path / "photos").mkdir()
    prune_datasets(tmp_path, {"spanish"})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["photos", "spanish"]


def test_scratch_is_used_only_on_an_exact_match(tmp_path):
    scratch = Scratch(tmp_path, "stage", [], {"steps": 3})
    scratch.save({"step": 1})
    assert Scratch(tmp_path, "stage", [], {"steps": 3}).load() == {"step": 1}
    changed = Scratch(tmp_path, "stage", [], {"steps": 4})
    assert changed.load() is None and scratch.folder.exists(), "the folder of a process that lives is left alone"
    del scratch, changed
    assert Scratch(tmp_path, "stage", [], {"steps": 4}).load() is None
    # The state of the old parameters is gone with that: disk use stays bounded.
    assert Scratch(tmp_path, "stage", [], {"steps": 3}).load() is None


def failing(params, *, out: stage.Output) -> None:
    """Write half an output and fail."""
    out.mkdir()
    (out / "half").write_text("x")
    raise RuntimeError("boom")


def writing(params, *, text: str, out: stage.Output) -> None:
    """Write."""
    out.write_text(text)


def test_outputs_appear_whole_or_not_at_all(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RuntimeError):
        stage.execute(failing, None, {"out": Path("result")})
    assert not Path("result").exists()
    stage.execute(writing, None, {"out": Path("deep/result"), "text": "done"})
    assert Path("deep/result").read_text() == "done"
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["deep", "result"]


@pytest.mark.parametrize("name", sorted(path.stem for path in (ROOT / "pipeline").glob("[a-z]*.py")))
def test_help_is_quick(name):
    command = [sys.executable, "-X", "importtime", "-m", f"pipeline.{name}", "--help"]
    result = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert result.returncode == 0
    assert "--out" in result.stdout or "--report" in result.stdout
    # What makes start-up slow is importing these; a count of modules does not depend on the machine's mood.
    for heavy in ("torch", "numpy", "pydantic", "diffusers", "transformers"):
        assert f"| {heavy}\n" not in result.stderr, f"{name} --help imports {heavy}"
