"""Presets: each is valid, and says the same however it is composed or written down."""

import math

import pytest

from pipeline.config.params import load_params
from pipeline.run.errors import InputError
from pipeline.tools.preset import compose
from tests.config.changes import PRESETS


@pytest.mark.parametrize("preset", sorted(path.stem for path in PRESETS.glob("*.yaml")))
def test_every_preset_is_valid(preset, tmp_path):
    path = tmp_path / "params.yaml"
    path.write_text(compose(PRESETS, preset))
    config = load_params(path)
    axes = ("segmenters", "labels", "replicates", "arms")
    assert len(set(config.grid.cells())) == math.prod(len(getattr(config.grid, axis)) for axis in axes)


def test_comments_survive_composition():
    assert "# the arm differences are taken from" in compose(PRESETS, "hc18")


def test_committed_params_are_the_quick_preset():
    assert (PRESETS.parent / "params.yaml").read_text() == compose(PRESETS, "quick")


@pytest.mark.parametrize("preset", ["quick", "smoke", "paper"])
def test_a_file_that_dvc_has_written_anew_says_the_same(preset, tmp_path):
    """`dvc exp run -S` changes one value and writes the whole file, as YAML of another version."""
    from dvc.utils.hydra import apply_overrides

    path = tmp_path / "params.yaml"
    path.write_text(compose(PRESETS, preset))
    before = load_params(path).model_dump()
    apply_overrides(path, ["sample.steps=9"])
    before["sample"]["steps"] = 9
    assert load_params(path).model_dump() == before


def test_unknown_preset_lists_the_known_ones():
    with pytest.raises(InputError, match=r"no preset 'hc19'.*quick"):
        compose(PRESETS, "hc19")
