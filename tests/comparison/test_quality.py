from types import SimpleNamespace

import pytest

from pipeline.comparison.quality import load_quality
from pipeline.quality.measures import QUESTIONS, Measure, as_json
from pipeline.run.errors import InputError
from pipeline.run.files import write_json

GRID = SimpleNamespace(segmenters=("sam",), labels=(10,), replicates=(0, 3), arms=("real", "synthetic"))


def write_quality(folder, name, kid=0.2, masks=None, **changes):
    ends = {"best": 0.0, "best_is": "real", "worst": 1.0, "worst_is": "far"}
    measures = [
        Measure(list(QUESTIONS)[2], "dice", "head", 0.8, 30, best=0.9, worst=0.5, spread=0.1),
        Measure(
            **({"question": "fidelity", "name": "kid", "view": "domain"} | {"value": kid, "n": 20} | ends | changes)
        ),
        Measure("coverage", "recall", "domain", 1.2, 20, best=1.0, worst=0.5),
    ]
    useful = Measure("usefulness", "tstr", None, 0.9, 25)
    content = {"measures": as_json(measures), "verdicts": {"fidelity": {"word": "good"}}, "masks": masks or {}}
    write_json(folder / "quality" / name, content)
    write_json(folder / "usefulness" / name, {"measures": as_json([useful])})


def loaded(folder):
    return load_quality(folder / "quality", folder / "usefulness", GRID)


def test_quality_stands_between_its_ends(tmp_path):
    for replicate, kid in zip(GRID.replicates, (0.2, 0.4), strict=True):
        write_quality(tmp_path, f"10-{replicate}.json", kid, n=20 + replicate)
    found = loaded(tmp_path)
    means = {one.name: one for one, _ in found.measures[10]}
    assert list(means) == ["kid", "recall", "dice", "tstr"], "in the order of the questions"
    kid = means["kid"]
    assert (kid.value, kid.position, kid.n) == (pytest.approx(0.3), pytest.approx(0.3), 20)
    assert found.measures[10][0][1] == [0.2, 0.4]
    assert means["recall"].position < 0, "better than the best end"
    assert means["dice"].position == pytest.approx(0.25) and means["tstr"].position is None
    assert found.verdicts[10, 3]["fidelity"]["word"] == "good"
    (tmp_path / "usefulness/10-3.json").unlink()
    with pytest.raises(InputError, match=r"10-3\.json.*dvc repro usefulness"):
        loaded(tmp_path)


def test_replicates_that_were_scored_differently_are_an_error(tmp_path):
    for replicate, view in zip(GRID.replicates, ("domain", "clip"), strict=True):
        write_quality(tmp_path, f"10-{replicate}.json", view=view)
    with pytest.raises(InputError, match="not every replicate has a measure 'kid'"):
        loaded(tmp_path)


def masks(*, area, angle, sources):
    def summary(distance, mean, n=30):
        return {"distance": distance, "mean": mean, "std": 2.0, "n": n, "undefined": 0}

    return {
        "head": {
            name: {
                "reference": {"mean": 4.0, "std": 1.0, "n": 50, "undefined": 0},
                "unseen": summary(0.1, 4.0),
                "labels": summary(0.2, 4.0),
                "synthetic": summary(distance, mean, n=30 if distance else 0),
                "sources": {source: summary(distance, mean) for source in sources},
            }
            for name, (distance, mean) in (("area", area), ("angle", angle))
        }
    }


def test_shapes_are_means_over_replicates(tmp_path):
    first = masks(area=(0.2, 5.0), angle=(0.3, 179.0), sources=["parent"])
    second = masks(area=(None, None), angle=(0.5, 5.0), sources=["parent", "shape_model"])
    write_quality(tmp_path, "10-0.json", masks=first)
    write_quality(tmp_path, "10-3.json", masks=second)
    area, angle = loaded(tmp_path).shapes[10]
    assert (area.structure, area.descriptor, area.mean("reference", "std")) == ("head", "area", 1.0)
    assert (area.mean("synthetic", "distance"), area.mean("synthetic", "mean")) == (0.2, 5.0)
    assert (area.mean("unseen", "distance"), area.mean("labels", "distance")) == (
        pytest.approx(0.1),
        pytest.approx(0.2),
    )
    assert area.sources == {"parent": 0.2, "shape_model": None}
    assert angle.mean("synthetic", "distance") == pytest.approx(0.4)
    assert angle.mean("synthetic", "mean") == pytest.approx(2), "an axis of 179 degrees lies beside one of 1 degree"
    assert angle.sources == {"parent": pytest.approx(0.4), "shape_model": 0.5}


def test_quality_from_before_masks_were_compared_says_what_to_run(tmp_path):
    for replicate in GRID.replicates:
        write_quality(tmp_path, f"10-{replicate}.json")
    write_json(tmp_path / "quality/10-0.json", {"measures": [], "verdicts": {}})
    with pytest.raises(InputError, match=r"10-0\.json: key 'masks' is missing; run `dvc repro score`"):
        loaded(tmp_path)
