"""The stage compare on small made-up inputs: what its page, metrics and table say."""

import json
import re
from pathlib import Path

import pytest
import yaml

from pipeline.config.consistency import RESERVED
from pipeline.data.tables import read_table, write_table
from pipeline.quality.selection.curation import CRITERIA
from pipeline.run.errors import InputError
from pipeline.run.files import write_json
from tests.comparison.world import ARMS, OUTPUTS, World
from tests.self_contained import Loads, text_of


def test_page_answers_first_and_says_what_it_is_about(html):
    text = text_of(html)
    assert text.index("Too few replicates to say.") < text.index("Segmentation with and without")
    assert "too few replicates to say: 1 of 5" in text
    assert "about simulated images" in text
    assert "phantom_a (unseen patients of the training cohort)" in text


def test_page_has_every_part(html):
    ids = re.findall(r'<section id="(\w+)"', html)
    assert ids == [
        "segmentation", "ratios", "quality", "explorer", "secondary", "budget", "cohorts", "reading", "provenance",
    ]  # fmt: skip
    assert html.count("<svg") == 4
    # Six samples of the best agreement and six of the worst, of three tiles.
    assert html.count('alt="sample: ') == 36
    assert f"kept 5 of 16 samples, dropped for {CRITERIA[0]} 9, {CRITERIA[2]} 4; used more than once".replace(
        "_", " "
    ) in text_of(html)
    assert "It has to be worse, and it is." in html


def test_page_shows_the_shapes_of_the_masks(html):
    text = text_of(html)
    assert "area % of the image 30 ± 10 25 ± 5 0.30 parent 0.30 · shape model 0.40 0.12 0.20 16" in text
    assert "angle degrees 0.3 ± 0.1 – –" in text


def test_page_tells_what_was_found_in_the_cohorts(html):
    text = text_of(html)
    assert (
        "phantom_a training 14 14 2 2 files ending in .txt 1 1 equal, 1 with different masks, 2 patients merged into 1 "
        "3 2 groups of up to 3 images, not merged, pairs left in two groups: 1 1"
    ) in text
    assert "phantom_b held out 7 7 – – – –" in text
    assert "phantom_a and phantom_b near images 4 a-1 and b-2; a-1 and b-2; a-1 and b-2; …" in text
    assert "1 warning of phantom_a a-1: pixel size (the image) is 0.7 mm, above 0.6; look" in text


def test_oracle_boxes_stand_apart_and_beside_the_ellipse(large, large_html, html):
    text = text_of(large_html)
    assert "Not a result" in text and "phantom_b sam 4 real 97.0 94.0 7" in text
    metrics = json.loads((large.root / "out" / OUTPUTS[0]).read_text())
    boxes = metrics["oracle_box"]["phantom_b"]["sam"]["n4"]["real"]
    assert boxes == {"dice_oracle_box": 0.97, "dice_ellipse_in_box": 0.94}
    assert set(metrics) - {"phantom_a", "phantom_b"} == RESERVED - {"age"}
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
    world = World(tmp_path, segmenters=["sam", "unet"], oracle=["real"]).build()
    stray = [
        "evaluation/sam-9-0-real.csv",
        "quality/9-0.json",
        "oracle/unet-4-0-real.csv",
        "predictions/sam-4-0-gone/x",
    ]
    stray += [f"live/{name}/metrics.json" for name in ("diffusion/9-0", "segmenter/sam-4-0-gone")]
    kept = [f"live/{name}/metrics.json" for name in ("diffusion/4-0", "segmenter/sam-4-0-real")]
    for name in (*stray, *kept):
        write_json(tmp_path / name, {})
    world.run()
    assert not any((tmp_path / name).exists() for name in stray)
    assert all((tmp_path / name).exists() for name in kept)


def test_two_structures_and_their_union_with_a_lower_is_better_primary(tmp_path):
    """The question asked of the circumference error: synthetic cases add half a millimetre, so they hurt."""
    about = {"structures": {"symphysis": None, "fetal_head": "head"}, "unions": {"all": ["symphysis", "fetal_head"]}}
    world = World(tmp_path, replicates=range(5), task={**about, "primary": "hc_error_mm"}).build()
    for path in (tmp_path / "evaluation").iterdir():
        rows, more = [], 0.5 * ("synthetic" in path.name)
        for row in read_table(path):
            for region in ("symphysis", "fetal_head", "all"):
                value = row["value"]
                if row["metric"].startswith("hc_error"):
                    value = (
                        float(value) + more + 0.1 * int(row["case"][-1]) + 0.01 * more * int(path.name.split("-")[2])
                    )
                if region == "fetal_head" or not row["metric"].startswith("hc_error"):
                    rows.append(row | {"region": region, "value": value})
        write_table(path, rows)
    page = world.run()
    text = text_of(page)
    assert "No: it hurt." in text and "hurts: Circumference error +0.51 mm" in text
    assert "Primary metric: Circumference error, lower is better." in text and "negative is better" in text
    assert ">mean Circumference error, mm<" in page
    assert re.search(r"real symphysis 7 × 5 [0-9.]+ 80.0 3.00 1.50 – – 0 of 35", text)
    assert re.search(r"real fetal_head 7 × 5 [0-9.]+ 80.0 3.00 1.50 2.30 1.3 0 of 35", text)
    assert "Circumference error changed by" in text
    metrics = json.loads((tmp_path / "out" / OUTPUTS[0]).read_text())["phantom_b"]["sam"]["n4"]
    assert metrics["synthetic"]["hc_error_mm_minus_baseline"] == pytest.approx(0.51)
    explorer = json.loads(re.search(r'id="ex-data">(.*?)</script>', page, re.DOTALL)[1])
    assert explorer["metric"] == {"title": "Circumference error", "unit": "mm", "digits": 2, "better": -1}


def test_missing_cell_is_an_error_with_a_remedy(tmp_path):
    world = World(tmp_path).build()
    (tmp_path / "evaluation/sam-4-0-warped.csv").unlink()
    with pytest.raises(InputError, match=r"sam-4-0-warped\.csv"):
        world.run()


def test_five_replicates_may_say_it_helped(tmp_path):
    text = text_of(
        World(tmp_path, replicates=range(5), arms={name: ARMS[name] for name in ("real", "synthetic")}).build().run()
    )
    assert "Yes, on the held-out cohort." in text
    assert "7 × 5" in text


def test_two_segmenters_stand_beside_each_other(large, large_html, html):
    text = text_of(large_html)
    assert (
        "Which model, without extra cases" in text
        and "unet segments without any prompt." in text
        and 'id="segmenters"' in large_html
    )
    # Of the baseline arm; seven cases, each a hundredth above the last.
    assert "phantom_b 4 unet 4,321 86.4" in text and "+3.00" in text and "phantom_b 4 sam 1,234 83.4" in text
    assert "Over 4 held-out comparisons" in text and "2 models" in text
    assert large_html.count("<th>Model</th>") > html.count("<th>Model</th>") == 0
    assert "sam, 4 labelled cases" in large_html and "unet · synthetic · 4" in large_html
    metrics = json.loads((large.root / "out" / OUTPUTS[0]).read_text())
    assert list(metrics["phantom_b"]) == list(metrics["training"]) == ["sam", "unet"]
    rows = read_table(large.root / "out" / OUTPUTS[1])
    assert {row["segmenter"] for row in rows} == {"sam", "unet"}
    assert list(rows[0]) == [
        "cohort", "segmenter", "labels", "arm", "extra", "ratio", "unlabelled", "replicate", "dice", "iou", "hd95_px",
        "hd95_mm", "hc_error_mm", "hc_error_percent", "missing", "difference",
    ]  # fmt: skip


def test_one_segmenter_needs_no_name(html):
    assert 'id="segmenters"' not in html and 'id="subgroups"' not in html and "sam · " not in html


def test_countries_stand_apart(large_html):
    text = text_of(large_html)
    assert "By country, device and head size" in text
    # Cases 1, 3 and 5 of seven are Algerian, 0, 2, 4 and 6 Spanish.
    assert "phantom_b DZA sam 4 real 83.4" in text and "phantom_b ESP sam 4 real 83.4" in text
    assert "By country Mean Dice, %" in text and "By device" not in text


def test_prompts_are_named_and_a_weights_path_stays_at_home(tmp_path):
    world = World(tmp_path).build()
    params = yaml.safe_load((tmp_path / "params.yaml").read_text())
    params["segmenters"]["sam"]["prompt"] = "whole_box"
    base = params["segmenters"]["sam"]["base"]
    own = {"weights": "own/place/sam.pth", "window": None, "detail": []}
    params["segmenters"]["sam"]["base"] = {key: value for key, value in base.items() if key != "compact"} | own
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    page = world.run()
    assert "own/place" not in page and "weights: sam.pth" in page
    assert "number of training steps; sam segments prompted with a box around the whole image." in text_of(page)


def test_a_run_of_the_baseline_alone_has_a_page(tmp_path):
    text = text_of(World(tmp_path, arms={"real": ARMS["real"]}).build().run())
    assert "labelled images only" in text and "Paired difference" in text
