"""The stage compare on small made-up inputs: what its page, metrics and table say."""

import json
import re
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from pipeline.comparison.report import page as report
from pipeline.config.params import RESERVED
from pipeline.data.tables import read_table, write_table
from pipeline.run.errors import InputError
from pipeline.run.files import write_json
from tests.comparison.world import ARMS, OUTPUTS, World
from tests.self_contained import Loads, text_of


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return World(tmp_path_factory.mktemp("world")).build()


@pytest.fixture(scope="module")
def html(world):
    return world.run()


def test_page_answers_first_and_says_what_it_is_about(html):
    text = text_of(html)
    assert text.index("Too few replicates to say.") < text.index("Segmentation with and without")
    assert "too few replicates to say: 1 of 5" in text
    assert "about simulated images" in text
    assert "phantom_a (unseen patients of the training cohort)" in text


def test_page_has_every_part(html):
    ids = re.findall(r'<section id="(\w+)"', html)
    assert ids == [
        "segmentation", "ratios", "quality", "cases", "explorer", "secondary", "budget", "reading", "provenance",
    ]  # fmt: skip
    assert html.count("<svg") == 4
    # Twelve samples of three tiles; the pictures of the held-out cases show two arms.
    assert html.count('alt="sample: ') == 36
    assert html.count("obeys least") == 3
    assert html.count('alt="phantom_b: ') >= 8
    assert "of 16 samples, dropped for mask agreement 9, training distance 4; used more than once" in text_of(html)
    assert "It must lose, and it did." in html


def test_page_shows_the_shapes_of_the_masks(html):
    text = text_of(html)
    assert "Area % of the image 30.0 ± 10.0 25.0 ± 5.0 0.30 parent 0.30 · shape model 0.40 0.12 0.20 16" in text
    assert "Angle of the major axis, degrees of 180 0 ± 0 – –" in text


def test_labels_that_chose_the_generators_weights_and_images_without_labels_are_counted(tmp_path):
    text = text_of(World(tmp_path, selected_on=2).build().run())
    assert "6 more than 4 3" in text


def test_labels_that_chose_the_segmenters_weights_are_counted_once(tmp_path):
    text = text_of(World(tmp_path, chosen_on=3, selected_on=2).build().run())
    assert "7 more than 4 0" in text and "7 more than 4 3" in text and "1,234 of 9,000" in text


def test_arms_that_saw_more_labels_stand_for_no_number_of_them(tmp_path):
    arms = {name: ARMS[name] for name in ("real", "synthetic")}
    fair = World(tmp_path / "fair", labels=[3, 6], arms=arms)
    chosen = World(tmp_path / "chosen", labels=[3, 6], arms=arms, selected_on=2)
    for world in (fair, chosen):
        world.root.mkdir()
    assert "How many real labels is synthetic data worth" in text_of(fair.build().run())
    assert "How many real labels is synthetic data worth" not in text_of(chosen.build().run())


def test_oracle_boxes_stand_apart_and_beside_the_ellipse(tmp_path, html):
    page = World(tmp_path, oracle=["real"]).build().run()
    assert "Not a result" in text_of(page) and "97.0 94.0 7" in text_of(page)
    metrics = json.loads((tmp_path / "out" / OUTPUTS[0]).read_text())
    boxes = metrics["oracle_box"]["phantom_b"]["sam"]["n4"]["real"]
    assert boxes == {"dice_oracle_box": 0.97, "dice_ellipse_in_box": 0.94}
    assert set(metrics) - {"phantom_a", "phantom_b"} == RESERVED
    assert "drawn from the reference" not in text_of(html)


def test_page_is_self_contained_small_and_described(html):
    parser = Loads()
    parser.feed(html)
    assert parser.fetched == [] and parser.mute == []
    # The name of SVG's namespace is no address.
    assert not re.search(r"https?://|@import|url\((?!#)", html.replace("http://www.w3.org/2000/svg", ""))
    assert len(html) < 3_000_000


def test_page_names_no_place_or_time(world, html):
    assert str(world.root) not in html and str(Path.cwd()) not in html and "data/raw" not in html
    assert not re.search(r"20\d\d-\d\d-\d\d", html)


def test_equal_inputs_give_equal_bytes(world, html, tmp_path):
    world.run("again")
    World(tmp_path).build().run()
    for name in OUTPUTS:
        first = (world.root / "out" / name).read_bytes()
        assert (world.root / "again" / name).read_bytes() == first
        assert (tmp_path / "out" / name).read_bytes() == first


def test_other_inputs_change_the_fingerprint(html, tmp_path):
    other = World(tmp_path, gain={"synthetic": 0.04}).build().run()
    prints = [re.findall(r"<td>([\w ]+)</td><td><code>(\w+)", page) for page in (html, other)]
    changed = [a[0] for a, b in zip(*prints, strict=True) if a != b]
    assert changed == ["evaluation"]


def test_cells_outside_the_grid_are_pruned(tmp_path):
    world = World(tmp_path).build()
    before = world.run()
    (tmp_path / "evaluation/sam-9-0-real.csv").write_text("old")
    (tmp_path / "predictions/sam-4-0-gone").mkdir()
    (tmp_path / "quality/9-0.json").write_text("old")
    curves = [tmp_path / "live" / name for name in ("diffusion/4-0", "segmenter/sam-4-0-real", "diffusion/9-0")]
    curves.append(tmp_path / "live/segmenter/sam-4-0-gone")
    for curve in curves:
        write_json(curve / "metrics.json", {})
    assert world.run() == before
    assert not (tmp_path / "evaluation/sam-9-0-real.csv").exists()
    assert not (tmp_path / "predictions/sam-4-0-gone").exists()
    assert not (tmp_path / "quality/9-0.json").exists()
    assert [curve.exists() for curve in curves] == [True, True, False, False]


def test_a_structure_that_is_no_head_has_no_circumference(tmp_path):
    world = World(tmp_path).build()
    for path in (tmp_path / "evaluation").iterdir():
        heads = read_table(path)
        others = [row | {"structure": "symphysis", "hc_error_mm": None, "hc_error_percent": None} for row in heads]
        write_table(path, [row for pair in zip(heads, others, strict=True) for row in pair])
    text = text_of(world.run())
    assert "head 7 × 1 80.0 3.0 1.5 1.0 0.5 1.0 2.0 7 cases" in text
    assert "symphysis 7 × 1 80.0 3.0 1.5 1.0 0.5 – – 7 cases" in text


def test_synthetic_sets_are_opened_once(tmp_path, monkeypatch):
    from pipeline.data import dataset

    world, opened, table_of = World(tmp_path, replicates=[0, 1]).build(), [], dataset._read_table
    monkeypatch.setattr(dataset, "_read_table", lambda path, columns: opened.append(path) or table_of(path, columns))
    world.run()
    assert [path.name for path in opened if path.parent.name == "synthetic"] == ["4-0", "4-1"]


def test_missing_cell_is_an_error_with_a_remedy(tmp_path):
    world = World(tmp_path).build()
    (tmp_path / "evaluation/sam-4-0-warped.csv").unlink()
    with pytest.raises(InputError, match=r"sam-4-0-warped\.csv"):
        world.run()


def test_five_replicates_may_say_it_helped(tmp_path):
    text = text_of(World(tmp_path, replicates=[0, 1, 2, 3, 4]).build().run())
    assert "Yes, on the held-out cohort." in text
    assert "7 × 5" in text


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    world = World(tmp_path_factory.mktemp("two"), segmenters=["sam", "unet"], countries=("ESP", "DZA")).build()
    return world, world.run()


def test_two_segmenters_stand_beside_each_other(two, html):
    world, page = two
    text = text_of(page)
    assert "Which model, on real data alone" in text and 'id="segmenters"' in page
    # Of the baseline arm; seven cases, each a hundredth above the last.
    assert "phantom_b 4 unet 4,321 86.0" in text and "+3.00" in text and "phantom_b 4 sam 1,234 83.0" in text
    assert "Over 2 held-out comparisons" in text and "2 models" in text
    assert page.count("<th>Model</th>") > html.count("<th>Model</th>") == 0
    assert "sam, 4 labelled cases" in page and "unet, 4 labelled cases" in page and "unet · synthetic · 4" in page
    metrics = json.loads((world.root / "out" / OUTPUTS[0]).read_text())
    assert list(metrics["phantom_b"]) == list(metrics["training"]) == ["sam", "unet"]
    rows = read_table(world.root / "out" / OUTPUTS[1])
    assert {row["segmenter"] for row in rows} == {"sam", "unet"}


def test_one_segmenter_needs_no_name(html):
    assert 'id="segmenters"' not in html and 'id="subgroups"' not in html and "sam · " not in html


def test_countries_stand_apart(two):
    text = text_of(two[1])
    assert "By country, device and head size" in text
    # Cases 1, 3 and 5 of seven are Algerian, 0, 2, 4 and 6 Spanish.
    assert "phantom_b DZA sam 4 real 83.0" in text and "phantom_b ESP sam 4 real 83.0" in text
    assert "By country Mean Dice" in text and "By device" not in text


def test_prompts_are_those_of_the_sams():
    def said(**prompts):
        sams = {name: SimpleNamespace(kind="sam", prompt=prompt) for name, prompt in prompts.items() if prompt}
        # A U-Net's parameters have no prompt at all.
        return report.effort({name: sams.get(name, SimpleNamespace(kind="unet")) for name in prompts})

    one = "Every arm takes the same number of training steps, and segments "
    assert said(unet=None) == said(sam="none") == one + "without any prompt."
    assert said(sam="whole_box") == one + "prompted with a box around the whole image."
    many = "Every arm of a model takes the same number of training steps; "
    box = "prompted with a box around the whole image"
    assert said(sam="whole_box", unet=None) == many + f"sam segments {box}; unet segments without any prompt."
    assert said(a="none", b="whole_box") == many + f"a segments without any prompt; b segments {box}."
    assert said(sam="none", unet=None) == many + "every model segments without any prompt."
    assert said(a="whole_box", b="whole_box") == many + f"every model segments {box}."


def test_a_page_of_two_segmenters_repeats(two, tmp_path):
    world, page = two
    assert World(tmp_path, segmenters=world.segmenters, countries=world.countries).build().run() == page


def test_boxes_of_segmenters_that_take_none_are_pruned(tmp_path):
    world = World(tmp_path, segmenters=["sam", "unet"], oracle=["real"]).build()
    stray = tmp_path / "oracle/unet-4-0-real.csv"
    stray.write_text("old")
    page = world.run()
    assert not stray.exists() and (tmp_path / "oracle/sam-4-0-real.csv").exists()
    assert "phantom_b sam 4 real 97.0 94.0 7" in text_of(page)


def test_a_generous_arm_says_how_many_labels_it_has_seen(tmp_path):
    arms = {
        "real": {"extra": "none", "ratio": 0},
        "synthetic": {"extra": "synthetic", "ratio": 2, "curated": True},
        "generous": {"extra": "synthetic", "ratio": 2, "curated": True, "generous": True},
    }
    text = text_of(World(tmp_path, labels=[3, 6], arms=arms).build().run())
    assert "3 synthetic synthetic ×2, curated 3 3 6" in text
    assert "3 generous synthetic ×2, curated, generator of more labels 6 more than 3 3 6" in text
    assert "6 generous synthetic ×2, curated, generator of more labels 6 3 12" in text


def test_a_weights_path_stays_at_home(tmp_path):
    world = World(tmp_path).build()
    params = yaml.safe_load((tmp_path / "params.yaml").read_text())
    params["segmenters"]["sam"]["base"]["weights"] = "own/place/sam.pth"
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    page = world.run()
    assert "own/place" not in page and "weights: sam.pth" in page
