"""Parameters as a test changes them."""

from copy import deepcopy

import pytest
import yaml

from pipeline.config.params import load_params
from pipeline.tools.preset import compose
from tests.config.changes import PRESETS


@pytest.fixture(scope="session")
def quick() -> dict:
    """The quick preset; composing it takes longer than most tests of it."""
    return yaml.safe_load(compose(PRESETS, "quick"))


@pytest.fixture
def edited(tmp_path, quick):
    """Write the quick preset with one change and load it."""

    def load(change):
        params = deepcopy(quick)
        change(params)
        path = tmp_path / "params.yaml"
        path.write_text(yaml.safe_dump(params))
        return load_params(path)

    return load
