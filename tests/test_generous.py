"""The set of more labels is copied where an arm asks for it, and nothing else is."""

import pytest
import yaml

from pipeline import generous
from pipeline.config.params import View, parse_params
from pipeline.tools.preset import compose


@pytest.fixture
def curated(tmp_path):
    for name in ("8-0", "16-0", "32-0"):
        (tmp_path / "curated" / name).mkdir(parents=True)
        (tmp_path / "curated" / name / "part-00000.parquet").write_text(name)
    return tmp_path / "curated"


def view(presets, path, **arm):
    config = yaml.safe_load(compose(presets, "smoke"))
    config["grid"]["labels"] = [16, 8]
    config["arms"]["synthetic"] |= arm
    return View(parse_params(yaml.safe_dump(config), path), generous.PARAMS)


def test_the_set_of_most_labels_is_copied(curated, tmp_path, pytestconfig):
    params = view(pytestconfig.rootpath / "presets", tmp_path, curated=True, generous=True)
    generous.run(params, curated=curated, replicate=0, out=tmp_path / "out")
    assert (tmp_path / "out/part-00000.parquet").read_text() == "16-0"
    assert not (curated / "32-0").exists(), "a set that left the grid would be taken for one of it"


def test_without_such_an_arm_there_is_but_a_note(curated, tmp_path, pytestconfig):
    params = view(pytestconfig.rootpath / "presets", tmp_path)
    generous.run(params, curated=curated, replicate=0, out=tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["not-needed.json"]
