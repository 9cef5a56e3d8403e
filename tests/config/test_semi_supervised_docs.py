"""docs/unlabelled.md has every option of every method, with its default."""

import re
from pathlib import Path

import pytest

from pipeline.config.semi_supervised import Contrast, CrossPseudo, MeanTeacher, Pseudo, UniMatch

PAGE = (Path(__file__).parents[2] / "docs/unlabelled.md").read_text()
ROWS = dict(
    re.findall(r"^\| `([a-z_.]+)` \| ([^|]+) \|", PAGE.split("## Options")[1].split("## Curves")[0], re.MULTILINE)
)
OPTIONS = [
    (method, name, field.default)
    for method in (Pseudo, MeanTeacher, UniMatch, CrossPseudo)
    for name, field in method.model_fields.items()
    if name != "method"
]


@pytest.mark.parametrize(("method", "name", "default"), OPTIONS)
def test_every_option_stands_there_with_its_default(method, name, default):
    told = ROWS[name]
    if isinstance(default, Contrast):
        assert told == "as below"
    elif name == "networks":
        assert "has to be given" in told
    elif method is Pseudo and name == "batch_norm":
        assert told.endswith(f"`pseudo` `{default}`")
    elif isinstance(default, str):
        assert told.split(";")[0] == f"`{default}`"
    elif method is MeanTeacher and name == "weight":
        assert f"`mean_teacher` {default:g}" in told
    else:
        assert told.split(";")[0] == f"{default:g}"


def test_the_options_of_contrast_too():
    told = {name: ROWS[f"contrast.{name}"] for name in Contrast.model_fields}
    assert told == {name: f"{field.default:g}" for name, field in Contrast.model_fields.items()}
