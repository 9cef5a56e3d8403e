import io
import json
import re
import shutil
import subprocess
from base64 import b64decode
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from skimage.draw import polygon2mask

from pipeline.comparison.report import explorer as module
from pipeline.comparison.report.explorer import SCALE, SIDE, svg_path


def filled(path, size):
    """bool (H, W) of the picture: what the path's closed lines enclose, by the even-odd rule."""
    width, height = size
    inside = np.zeros((height, width), bool)
    for line in re.findall(r"M([^z]*)z", path):
        first, steps = line.split("l")
        corners = np.cumsum(np.array([*first.split(), *steps.split()], float).reshape(-1, 2), axis=0) / SCALE
        # polygon2mask counts from pixel centres, the path from the picture's corner.
        inside ^= polygon2mask((height, width), corners[:, ::-1] - 0.5)
    return inside


def disc(height, width, centre, radius):
    rows, columns = np.mgrid[:height, :width]
    return (np.hypot(rows - centre[0], columns - centre[1]) < radius).astype(np.uint8)


@pytest.mark.parametrize("size", [(220, 160), (110, 80), (55, 40)])
def test_an_outline_encloses_what_the_mask_covers(size):
    mask = disc(320, 440, (150, 210), 90)
    mask[disc(320, 440, (150, 210), 30) > 0] = 0
    found = filled(svg_path(mask, size), size)
    wanted = np.asarray(Image.fromarray(mask * 255).resize(size, Image.Resampling.BOX)) > 127
    assert 2 * (found & wanted).sum() / (found.sum() + wanted.sum()) > 0.97


def test_an_outline_at_the_edge_of_the_image_is_closed():
    mask = np.ones((40, 60), np.uint8)
    assert filled(svg_path(mask, (60, 40)), (60, 40)).mean() > 0.95


def test_nothing_found_has_no_outline_and_structures_have_their_own():
    assert svg_path(np.zeros((20, 20), np.uint8), (20, 20)) == ""
    two = disc(60, 60, (15, 15), 9) + 2 * disc(60, 60, (45, 45), 9)
    assert svg_path(two, (60, 60)).count("M") == 2


@pytest.fixture(scope="module")
def data(large_html):
    return embedded(large_html)


def embedded(page):
    return json.loads(re.search(r'id="ex-data">(.*?)</script>', page, re.DOTALL)[1].replace("<\\/", "</"))


def test_every_case_of_every_cohort_is_there_with_its_scores(data):
    assert {name: len(one["cases"]) for name, one in data["cohorts"].items()} == {"phantom_b": 7, "phantom_a": 6}
    assert data["metric"] == {"title": "Dice", "unit": "%", "digits": 1, "better": 1}
    view, *others = data["cohorts"]["phantom_b"]["views"]
    assert (view["segmenter"], view["labels"], len(others)) == ("sam", 4, 3)
    assert [one["arm"] for one in view["arms"]] == ["real", "synthetic", "synthetic_1", "shuffled"]
    base, synthetic, *_ = view["arms"]
    assert base["score"] == [80.0, 81.0, 82.0, 83.0, 84.0, 85.0, 86.0]
    assert synthetic["score"][0] == 85.0 and base["change"] == [0.0] * 7
    # Replicate 1 gains 0.002 a letter of the arm's name, minus that of "real".
    assert synthetic["change"] == pytest.approx([5 + 100 * 0.002 * (9 - 4) / 2] * 7)


def test_pictures_are_small_and_of_the_case(data):
    one = data["cohorts"]["phantom_b"]["cases"][0]
    picture = Image.open(io.BytesIO(b64decode(one["picture"].split(",")[1])))
    assert list(picture.size) == one["size"] and max(picture.size) <= SIDE


def test_with_many_cases_only_the_best_arms_are_shown(monkeypatch, world):
    monkeypatch.setattr(module, "OUTLINES", 2 * 13)
    page = world.run("few")
    assert [one["arm"] for one in embedded(page)["cohorts"]["phantom_b"]["views"][0]["arms"]] == ["real", "synthetic"]
    assert "2 of 4 arms" in page


@pytest.mark.parametrize(
    ("better", "order", "status"),
    [(1, ["a", "c", "b"], "2 are better and 1 worse"), (-1, ["b", "c", "a"], "1 are better and 2 worse")],
)
def test_the_script_sorts_by_what_is_better(tmp_path, html, better, order, status):
    """Changes -2, +3 and +1 of cases a, b and c; scores 5, 9 and 7."""
    if shutil.which("node") is None:
        pytest.skip("node is not installed")
    arms = [
        {"arm": "real", "outlines": [""] * 3, "score": [7, 6, 6], "change": [0] * 3},
        {"arm": "more", "outlines": [""] * 3, "score": [5, 9, 7], "change": [-2, 3, 1]},
    ]
    data = {
        "scale": 4,
        "metric": {"title": "Error", "unit": "mm", "digits": 2, "better": better},
        "cohorts": {
            "far": {
                "cases": [{"id": id_, "picture": "", "size": [4, 4], "truth": ""} for id_ in "abc"],
                "views": [{"segmenter": "unet", "labels": 4, "arms": arms}],
            }
        },
    }
    (tmp_path / "data.json").write_text(json.dumps(data))
    (tmp_path / "script.js").write_text(re.search(r"<script>(.*?)</script>", html, re.DOTALL)[1])
    dom = Path(__file__).with_name("small_dom.js")
    files = [dom, tmp_path / "script.js", tmp_path / "data.json"]
    found = json.loads(subprocess.run(["node", *files], check=True, capture_output=True, text=True).stdout)
    assert found["status"] == f"3 of 3 cases; with more, {status} than with real."
    for sort, expected in (("loss", order), ("gain", order[::-1]), ("worst", order), ("best", order[::-1])):
        assert [id_ for id_, _ in found["shown"][sort]] == expected, sort
    assert found["shown"]["loss"][order.index("b")][1] == "Error 6.00 → 9.00 mm, mean change +3.00"
