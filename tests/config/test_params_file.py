"""The file of parameters: YAML as it is read, files of something else, what a stage sees of it."""

import datetime
import subprocess
import sys

import pytest

from pipeline.config.params import View, load_params, parse_params
from pipeline.run.errors import InputError
from pipeline.tools.preset import compose
from tests.config.changes import PRESETS


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("seed: 2026-01-01", "'seed' is '2026-01-01'.*valid integer"),
        ("seed: 2026-13-45", "'seed' is '2026-13-45'.*valid integer"),
        ("seed: !!binary aGVsbG8=", "more than text, numbers, lists and mappings"),
        ("seed: !!timestamp 2026-13-45", "'seed' is '2026-13-45'.*valid integer"),
        ("seed: [1, 2", "not valid YAML"),
        ("seed: 0\nseed: 0", "not valid YAML.*duplicate key"),
        ("seed: " + "[" * 5000 + "]" * 5000, "not valid YAML|more than text"),
    ],
)
def test_yaml_that_json_lacks_is_refused(line, words, tmp_path):
    text = compose(PRESETS, "quick")
    assert text.count("\nseed: 0\n") == 1
    with pytest.raises(InputError, match=words):
        parse_params(text.replace("\nseed: 0\n", f"\n{line}\n"), tmp_path / "params.yaml")


def test_numbers_and_words_are_those_of_yaml_1_2(tmp_path):
    """As DVC reads and writes the file; in YAML 1.1 the first would be text and the second false."""
    text = compose(PRESETS, "quick")
    assert "  learning_rate: 0.0008\n" in text and '  mixed_precision: "no"   #' in text
    text = text.replace("  learning_rate: 0.0008\n", "  learning_rate: 8e-4\n")
    diffusion = parse_params(text.replace('mixed_precision: "no"   #', "mixed_precision: no   #"), tmp_path).diffusion
    assert diffusion.learning_rate == 0.0008 and diffusion.mixed_precision == "no"


def test_a_folder_may_be_named_like_a_date(edited):
    config = edited(lambda p: p["cohorts"]["phantom_b"].update(raw=datetime.date(2026, 1, 2)))
    assert config.cohorts["phantom_b"].raw == "2026-01-02"


@pytest.mark.parametrize("text", ["", "- a", "hello"])
def test_a_file_of_something_else_is_refused(text, tmp_path):
    with pytest.raises(InputError, match="params.yaml: a mapping of keys to values is wanted"):
        parse_params(text, tmp_path / "params.yaml")


def test_of_a_wrong_item_the_list_is_not_called_short(edited):
    with pytest.raises(InputError) as error:
        edited(lambda p: p["grid"].update(labels=["40"]))
    assert "'grid.labels.0' is '40'" in str(error.value) and "1 or more" not in str(error.value)


def test_missing_file_says_how_to_get_one(tmp_path):
    with pytest.raises(InputError, match="make preset"):
        load_params(tmp_path / "none.yaml")


def test_a_view_shows_declared_sections_only(smoke_config):
    view = View(smoke_config, ("seed", "sample"))
    assert view.sample.count == 24
    assert set(view.as_dict()) == {"seed", "sample"}
    with pytest.raises(AttributeError, match="diffusion"):
        view.diffusion  # noqa: B018


def test_command_line_exits_with_one_line_and_no_output(tmp_path):
    (tmp_path / "params.yaml").write_text(compose(PRESETS, "smoke").replace("kid_subsets:", "kid_subset:"))
    command = [sys.executable, "-m", "pipeline.curate", "--params", tmp_path / "params.yaml"]
    command += ["--filter", "none", "--synthetic", "none", "--train", "none", "--unlabelled", "none"]
    command += ["--out", tmp_path / "out"]
    result = subprocess.run(list(map(str, command)), capture_output=True, text=True, cwd=PRESETS.parent)
    assert result.returncode == 2
    assert "unknown key 'score.kid_subset'" in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()
