"""Parameters as a test changes them."""

import pytest
import yaml

from pipeline.config.params import load_params
from pipeline.tools.preset import compose
from tests.config.changes import PRESETS


@pytest.fixture
def edited(tmp_path):
    """Write the quick preset with one change and load it."""

    def load(change):
        params = yaml.safe_load(compose(PRESETS, "quick"))
        change(params)
        path = tmp_path / "params.yaml"
        path.write_text(yaml.safe_dump(params))
        return load_params(path)

    return load
