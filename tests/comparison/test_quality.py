from types import SimpleNamespace

import pytest

from pipeline.comparison.synthetic import load_quality, load_shapes, load_verdicts
from pipeline.quality.measures import Measure, as_json
from pipeline.run.errors import InputError
from pipeline.run.files import write_json

GRID = SimpleNamespace(segmenters=("sam",), labels=(10,), replicates=(0, 3), arms=("real", "synthetic"))


def write_quality(folder, name, kid, **changes):
    ends = {"best": 0.0, "best_is": "real", "worst": 1.0, "worst_is": "far"}
    measures = [
        Measure("obedience", "dice", "head", 0.8, 30, best=0.9, worst=0.5, spread=0.1),
        Measure(
            **({"question": "fidelity", "name": "kid", "view": "domain"} | {"value": kid, "n": 20} | ends | changes)
        ),
        Measure("coverage", "recall", "domain", 1.2, 20, best=1.0, worst=0.5),
    ]
    useful = Measure("usefulness", "tstr", None, 0.9, 25)
    write_json(folder / "quality" / name, {"measures": as_json(measures), "verdicts": {"fidelity": {"word": "good"}}})
    write_json(folder / "usefulness" / name, {"measures": as_json([useful])})


def test_quality_stands_between_its_ends(tmp_path):
    for replicate, kid in zip(GRID.replicates, (0.2, 0.4), strict=True):
        write_quality(tmp_path, f"10-{replicate}.json", kid, n=20 + replicate)
    loaded = load_quality(tmp_path / "quality", tmp_path / "usefulness", GRID)
    assert [one.first.name for one in loaded] == ["kid", "recall", "dice", "tstr"], "in the order of the questions"
    rows = {one.first.name: one for one in loaded}
    assert (rows["kid"].mean("value"), rows["kid"].position, rows["kid"].n) == (
        pytest.approx(0.3),
        pytest.approx(0.3),
        20,
    )
    assert rows["kid"].values == [0.2, 0.4]
    assert rows["recall"].position == 0, "better than the best end is the best end"
    assert rows["dice"].position == pytest.approx(0.25)
    assert rows["tstr"].position is None
    (tmp_path / "usefulness/10-3.json").unlink()
    with pytest.raises(InputError, match=r"10-3\.json.*dvc repro usefulness"):
        load_quality(tmp_path / "quality", tmp_path / "usefulness", GRID)


def test_replicates_that_were_scored_differently_are_an_error(tmp_path):
    for replicate, view in zip(GRID.replicates, ("domain", "clip"), strict=True):
        write_quality(tmp_path, f"10-{replicate}.json", 0.2, view=view)
    with pytest.raises(InputError, match="not every replicate has a measure 'kid'"):
        load_quality(tmp_path / "quality", tmp_path / "usefulness", GRID)


def test_verdicts_name_the_page_of_their_set(tmp_path):
    for replicate in GRID.replicates:
        write_quality(tmp_path, f"10-{replicate}.json", 0.2)
    found = load_verdicts(tmp_path / "quality", GRID)
    assert [one.page for one in found] == ["results/sets/10-0/index.html", "results/sets/10-3/index.html"]
    assert found[0].answers["fidelity"]["word"] == "good"


def write_masks(path, *, area, angle, sources):
    def summary(distance, mean, n=30):
        return {"distance": distance, "mean": mean, "std": 2.0, "n": n, "undefined": 0}

    write_json(
        path,
        {
            "masks": {
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
        },
    )


def test_shapes_are_means_over_replicates(tmp_path):
    write_masks(tmp_path / "10-0.json", area=(0.2, 5.0), angle=(0.3, 179.0), sources=["parent"])
    write_masks(tmp_path / "10-3.json", area=(None, None), angle=(0.5, 5.0), sources=["parent", "shape_model"])
    area, angle = load_shapes(tmp_path, GRID)
    assert (area.structure, area.descriptor, area.real) == ("head", "area", (4.0, 1.0))
    assert (area.distance, area.synthetic, area.n) == (0.2, (5.0, 2.0), 0)
    assert (area.unseen, area.subset) == (pytest.approx(0.1), pytest.approx(0.2))
    assert area.sources == {"parent": 0.2, "shape_model": None}
    assert angle.distance == pytest.approx(0.4)
    assert angle.synthetic[0] == pytest.approx(2)
    assert angle.sources == {"parent": pytest.approx(0.4), "shape_model": 0.5}


def test_quality_from_before_masks_were_compared_says_what_to_run(tmp_path):
    for replicate in GRID.replicates:
        write_quality(tmp_path, f"10-{replicate}.json", 0.2)
    with pytest.raises(InputError, match=r"10-0\.json: key 'masks' is missing; run `dvc repro score`"):
        load_shapes(tmp_path / "quality", GRID)
