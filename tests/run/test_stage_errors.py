"""What a user sees at the command line when an input is bad: one line, exit status 2, no output."""

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.config import stage
from pipeline.tools.preset import compose

ROOT = Path(__file__).parents[2]


@pytest.fixture
def fails(tmp_path):
    """Run a stage as a program, with the smoke parameters; give its one line of complaint."""
    (tmp_path / "params.yaml").write_text(compose(ROOT / "presets", "smoke"))

    def call(name: str, *arguments: str | Path) -> str:
        out = tmp_path / "out"
        command = [sys.executable, "-m", f"pipeline.{name}", "--params", tmp_path / "params.yaml", *arguments]
        command += ["--out", out]
        result = subprocess.run(list(map(str, command)), capture_output=True, text=True, cwd=ROOT)
        assert result.returncode == 2, result.stderr
        assert "Traceback" not in result.stderr
        assert not out.exists()
        return result.stderr.strip().splitlines()[-1]

    return call


@pytest.fixture
def complains(tmp_path, monkeypatch, caplog):
    """The same in this process, for stages that import torch before they fail."""
    (tmp_path / "params.yaml").write_text(compose(ROOT / "presets", "smoke"))
    monkeypatch.setattr("pipeline.run.stage.prepare_environment", lambda threads: None)

    def call(name: str, *arguments: str | Path) -> str:
        out, module = tmp_path / "out", importlib.import_module(f"pipeline.{name}")
        words = ["--params", tmp_path / "params.yaml", *arguments, "--out", out]
        with pytest.raises(SystemExit) as left:
            stage.main(module.run, module.PARAMS, list(map(str, words)))
        assert left.value.code == 2
        assert not out.exists()
        (error,) = (record for record in caplog.records if record.levelname == "ERROR")
        return error.getMessage()

    return call


def test_missing_raw_cohort(fails, tmp_path):
    message = fails("prepare", "--cohort", "phantom_b", "--raw", tmp_path / "nowhere")
    assert "cohort 'phantom_b'" in message and "nowhere" in message and "dvc pull" in message


def test_missing_dataset(complains, tmp_path):
    message = complains("train_evaluation_network", "--train", tmp_path / "nowhere")
    assert "nowhere: not a dataset" in message and "dvc pull" in message


def test_missing_generator(complains, tmp_path):
    arguments = ["--diffusion", tmp_path / "none", "--train", tmp_path, "--masks", tmp_path]
    arguments += ["--labels", "4", "--replicate", "0", "--variety", tmp_path / "variety"]
    assert "run the stage train_diffusion" in complains("sample", *arguments)


def test_missing_segmenter(complains, tmp_path):
    data = ("--test", tmp_path, "--held-out", tmp_path)
    message = complains("predict_sam", "--base", tmp_path, "--segmenter", tmp_path, *data)
    assert "segmenter.json: no such file" in message


def test_an_unknown_segmenter(fails):
    assert "no segmenter 'san' under segmenters" in fails("base_sam", "--segmenter", "san")
