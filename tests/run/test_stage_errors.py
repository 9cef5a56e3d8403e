"""What a user sees at the command line when an input is bad: one line, exit status 2, no output."""

import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.tools.preset import compose

ROOT = Path(__file__).parents[2]


@pytest.fixture
def fails(tmp_path):
    """Run a stage with the smoke parameters; give its one line of complaint."""
    (tmp_path / "params.yaml").write_text(compose(ROOT / "presets", "smoke"))

    def call(stage: str, *arguments: str | Path) -> str:
        out = tmp_path / "out"
        command = [sys.executable, "-m", f"pipeline.{stage}", "--params", tmp_path / "params.yaml", *arguments]
        command += ["--out", out]
        result = subprocess.run(list(map(str, command)), capture_output=True, text=True, cwd=ROOT)
        assert result.returncode == 2, result.stderr
        assert "Traceback" not in result.stderr
        assert not out.exists()
        return result.stderr.strip().splitlines()[-1]

    return call


def test_missing_raw_cohort(fails, tmp_path):
    message = fails("prepare", "--cohort", "phantom_b", "--raw", tmp_path / "nowhere")
    assert "cohort 'phantom_b'" in message and "nowhere" in message and "dvc pull" in message


def test_missing_dataset(fails, tmp_path):
    message = fails("train_evaluation_network", "--train", tmp_path / "nowhere")
    assert "nowhere: not a dataset" in message and "dvc pull" in message


def test_missing_generator(fails, tmp_path):
    arguments = ["--diffusion", tmp_path / "none", "--train", tmp_path, "--masks", tmp_path]
    arguments += ["--labels", "4", "--replicate", "0", "--variety", tmp_path / "variety"]
    assert "run the stage train_diffusion" in fails("sample", *arguments)


def test_missing_segmenter(fails, tmp_path):
    data = ("--test", tmp_path, "--held-out", tmp_path)
    message = fails("predict_sam", "--base", tmp_path, "--segmenter", tmp_path, *data)
    assert "segmenter.json: no such file" in message


def test_an_unknown_segmenter(fails):
    assert "no segmenter 'san' under segmenters" in fails("base_sam", "--segmenter", "san")
