import pytest

from pipeline.quality.measures import CATALOGUE, QUESTIONS, Measure, as_json, find, read_measures
from pipeline.run.errors import InputError
from pipeline.run.files import write_json


def kid(value=0.5, **fields):
    ends = {"view": "domain", "best": 0.0, "best_is": "real", "worst": 2.0, "worst_is": "foreign"}
    return Measure("fidelity", "kid", value=value, n=80, **(ends | fields))


def test_round_trip_with_six_digits(tmp_path):
    write_json(tmp_path / "q.json", {"measures": as_json([kid(1 / 3), kid(None, low=None)])})
    first, second = read_measures(tmp_path / "q.json", "run it")
    assert first == kid(0.333333)
    assert second.value is None


def test_position_is_where_the_value_lies_between_its_ends_in_either_direction():
    assert kid(0.5).position == 0.25
    assert kid(-0.5).position == -0.25
    assert kid(0.7, best=0.9, worst=0.5).position == pytest.approx(0.5)
    assert kid(None).position is None and kid(best=None).position is None and kid(best=2.0).position is None


def test_find_by_name_and_view():
    other = Measure("fidelity", "kid", "clip", 1.0, 80)
    assert find([kid(), other], "kid") == [kid(), other]


def test_every_measure_is_explained():
    assert all(title and text and question in QUESTIONS for title, text, question in CATALOGUE.values())
    assert list(QUESTIONS)[:4] == ["fidelity", "coverage", "mask_agreement", "privacy"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({}, "holds no list 'measures'"),
        ({"measures": [{"name": "kid"}]}, "holds no list 'measures'"),
        ({"measures": [as_json([kid()])[0] | {"name": "beauty"}]}, "measure 'beauty' is not known"),
    ],
)
def test_a_file_of_another_version_is_refused(tmp_path, content, message):
    write_json(tmp_path / "q.json", content)
    with pytest.raises(InputError, match=rf"q\.json: .*{message}.*run `dvc repro score`"):
        read_measures(tmp_path / "q.json", "run `dvc repro score`")


def test_views_are_called_what_they_are():
    assert kid(view="lite0").label == "KID, ImageNet (EfficientNet-Lite0)"
    assert kid(view="timm_resnet18.a1_in1k").label == "KID, resnet18.a1_in1k (timm)"
    assert kid(view="head").label == "KID, head" and kid(view=None).label == "KID"
