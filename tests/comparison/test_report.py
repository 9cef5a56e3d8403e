"""The stage compare on small made-up inputs, written by the project's own writers."""

import json
import re
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import yaml

from pipeline import compare
from pipeline.comparison import answers, numbers, report
from pipeline.comparison.crossed import Crossed
from pipeline.comparison.statistics import Estimate, Verdict
from pipeline.core.case import Case
from pipeline.core.dataset_writer import write_dataset
from pipeline.core.errors import InputError
from pipeline.core.files import write_json
from pipeline.core.labels import label_subset
from pipeline.core.measures import Measure, as_json
from pipeline.core.params import Arm, View, load_params
from pipeline.core.predictions import write_predictions
from pipeline.core.presets import compose
from pipeline.core.prune import cell_name
from pipeline.core.tables import read_table, write_table
from tests.self_contained import Loads, text_of

CLASSES = ["background", "head"]
ARMS = {
    "real": {"extra": "none", "ratio": 0},
    "synthetic": {"extra": "synthetic", "ratio": 2, "curated": True},
    "warped": {"extra": "warped", "ratio": 2},
    "shuffled": {"extra": "synthetic", "ratio": 2, "shuffled": True},
}
OUTPUTS = ("metrics.json", "table.csv", "report.html")


def case(cohort, i, split):
    image = np.random.default_rng(i).integers(0, 255, (24, 32)).astype(np.uint8)
    mask = np.zeros((24, 32), np.uint8)
    mask[5 : 15 + i % 4, 6:20] = 1
    id_ = f"{cohort}-{i}"
    return Case(id_, cohort, f"p{cohort}{i}", image, mask, split, pixel_mm=0.5, mask_source="annotated")


def rows(cohort, cases, dice):
    return [
        {
            "cohort": cohort,
            "structure": "head",
            "id": one.id,
            "patient": one.patient,
            "country": one.country,
            "device": None,
            "dice": float(min(dice + 0.01 * i, 1)),
            "iou": 0.8,
            "hd95_px": 3.0,
            "assd_px": 1.0,
            "hd95_mm": 1.5,
            "assd_mm": 0.5,
            "hc_error_mm": 2.0,
            "hc_error_percent": 1.0,
            "missing": False,
        }
        for i, one in enumerate(cases)
    ]


def masks(distance):
    """The block of one descriptor; without a distance there is no synthetic value either."""
    known = {"distance": distance, "mean": 0.25 if distance else None, "std": 0.05 if distance else None, "n": 16}
    real = {"mean": 0.3, "std": 0.1, "n": 8}
    return {
        "reference": real,
        "synthetic": known,
        "unseen": {"distance": 0.12, **real},
        "labels": {"distance": 0.2, **real},
        "sources": {"parent": known, "shape_model": {**known, "distance": 0.4}},
    }


WORDS = {"fidelity": "good", "coverage": "doubtful", "obedience": "good", "privacy": "bad"}


def measures(replicate):
    """Four measures of the second kind of question asked first: the report sorts them."""
    real, far = "real unseen images", "phantom_d images"
    return [
        Measure("privacy", "copies", None, 0.25, 16, 0.0, real, 1.0, "exact copies", 0.1, 0.4),
        Measure("fidelity", "fid", "domain", 10.0 + replicate, 12, 0.5, real, 45.0, far, 8.0, 12.0),
        Measure("fidelity", "kid", "domain", 0.2, 12, 0.01, real, 0.9, far, 0.1, 0.3, 0.01),
        Measure("obedience", "dice", "head", 0.9, 16, 0.95, "the instrument", 0.6, "another's mask", spread=0.02),
    ]


@dataclass
class World:
    """Inputs of the stage under ``root``; ``gain`` is what each arm's Dice is above the baseline's."""

    root: Path
    replicates: list[int] = field(default_factory=lambda: [0])
    gain: dict[str, float] = field(default_factory=lambda: {"synthetic": 0.05, "warped": 0.01, "shuffled": -0.2})
    held_out: str = "phantom_b"
    selected_on: int = 0
    chosen_on: int = 0
    oracle: list[str] = field(default_factory=list)
    segmenters: list[str] = field(default_factory=lambda: ["sam"])
    countries: tuple[str | None, ...] = (None,)
    labels: list[int] = field(default_factory=lambda: [4])
    arms: dict[str, dict] = field(default_factory=lambda: ARMS)

    def build(self):
        presets = Path(__file__).parents[2] / "presets"
        config = yaml.safe_load(compose(presets, "smoke"))
        keep = {"phantom_a", "phantom_b", "phantom_d"}
        config["cohorts"] = {name: one for name, one in config["cohorts"].items() if name in keep}
        config["grid"] |= {"labels": self.labels, "replicates": self.replicates, "arms": list(self.arms)}
        config["grid"]["segmenters"] = self.segmenters
        config["arms"] = self.arms
        config["oracle"]["arms"] = self.oracle
        config["compare"] = {"baseline": "real", "bootstrap": 100}
        (self.root / "params.yaml").write_text(yaml.safe_dump(config))
        train = [case("a", i, "train" if i < 8 else "test") for i in range(14)]
        away = [case("b", i, "test") for i in range(7)]
        away = [replace(one, country=self.countries[i % len(self.countries)]) for i, one in enumerate(away)]
        write_dataset(self.root / "cohorts/phantom_a", train, role="train", classes=CLASSES)
        write_dataset(self.root / "held_out" / self.held_out, away, role="held_out", classes=CLASSES)
        for n, r in product(self.labels, self.replicates):
            self._cell(n, r, train, [("phantom_a", train[8:]), (self.held_out, away)], config["seed"])
        return self

    def _cell(self, n, r, train, cohorts, seed):
        name = cell_name(n, r)
        own = label_subset(train, n, r, seed)
        made = [
            replace(
                own[i % n], id=f"s-{i}", patient=f"s-{i}", split="train", mask_source="parent", parent=own[i % n].id
            )
            for i in range(16)
        ]
        shared = {"role": "synthetic", "classes": CLASSES, "labels": [one.id for one in own]}
        origin = {"cohort": "phantom_a", "unlabelled": 3, "selected_on": self.selected_on}
        write_dataset(self.root / "synthetic" / name, made, **shared, provenance=origin)
        thresholds = {"obedience": 0.8, "plausibility": None, "novelty": 0.2}
        dropped = {"obedience": 9, "plausibility": 0, "novelty": 4}
        curated = {"curated": {"kept": 5, "of": 16, "thresholds": thresholds, "dropped": dropped}}
        write_dataset(self.root / "curated" / name, made[:5], **shared, provenance=curated)
        scored = [
            {"set": "synthetic", "id": one.id, "obedience": 0.5 + 0.03 * i, "nearest": own[i % n].id, "distance": 1.0}
            for i, one in enumerate(made)
        ]
        real = {"set": "unseen", "id": "a-9", "obedience": 0.9, "nearest": own[0].id, "distance": 1.0}
        write_table(self.root / "samples" / f"{name}.csv", [*scored, real])
        answers = {question: {"word": word, "text": f"{question}."} for question, word in WORDS.items()}
        write_json(
            self.root / "quality" / f"{name}.json",
            {
                "measures": as_json(measures(r)),
                "verdicts": answers,
                "masks": {"head": {"area": masks(0.3), "angle": masks(None)}},
            },
        )
        useful = Measure("usefulness", "tstr", None, 0.9, 6, 0.95, "real labels", 0.7, "the mean mask", 0.88, 0.92)
        write_json(self.root / "usefulness" / f"{name}.json", {"measures": as_json([useful])})
        for segmenter, arm in product(self.segmenters, self.arms):
            cell = cell_name(segmenter, n, r, arm)
            trainable = 4321 if segmenter == "unet" else 1234
            facts = {"labels": n + self.chosen_on, "parameters": 9000, "trainable_parameters": trainable}
            write_json(self.root / "training" / f"{cell}.json", facts)
            level = 0.8 + self.gain.get(arm, 0) + 0.002 * r * len(arm) + (0.03 if segmenter == "unet" else 0)
            write_table(
                self.root / "evaluation" / f"{cell}.csv",
                [row for cohort, cases in cohorts for row in rows(cohort, cases, level)],
            )
            if arm in self.oracle and segmenter == "sam":
                boxed = [
                    {"cohort": cohort, "structure": "head", "id": one.id, "patient": one.patient,
                     "dice_oracle_box": 0.97, "dice_ellipse_in_box": 0.94}
                    for cohort, cases in cohorts for one in cases
                ]  # fmt: skip
                write_table(self.root / "oracle" / f"{cell}.csv", boxed)
            for cohort, cases in cohorts:
                maps = [np.roll(one.mask, 2, axis=1) for one in cases]
                path = self.root / "predictions" / cell / f"{cohort}.parquet"
                write_predictions(path, [one.id for one in cases], maps)

    def run(self, out="out"):
        params = View(load_params(self.root / "params.yaml"), compare.PARAMS)
        names = (
            "evaluation",
            "quality",
            "usefulness",
            "samples",
            "synthetic",
            "curated",
            "predictions",
            "live",
            "training",
            "oracle",
            "held_out",
        )
        folders = {name: self.root / name for name in names}
        outputs = dict(zip(("metrics", "table", "report"), (self.root / out / name for name in OUTPUTS), strict=True))
        compare.run(params, **folders, test=self.root / "cohorts/phantom_a", **outputs)
        return (self.root / out / "report.html").read_text()


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
    assert ids == ["segmentation", "quality", "cases", "secondary", "budget", "reading", "provenance"]
    assert html.count("<svg") == 4
    # Twelve samples of three tiles; the pictures of the held-out cases show two arms.
    assert html.count('alt="sample: ') == 36
    assert html.count("obeys least") == 3
    assert html.count('alt="phantom_b: ') >= 8
    assert "kept 5 of 16 samples, dropped for obedience 9, novelty 4; used more than once" in text_of(html)
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


def test_oracle_boxes_stand_apart_and_beside_the_ellipse(tmp_path, html):
    page = World(tmp_path, oracle=["real"]).build().run()
    assert "Not a result" in text_of(page) and "97.0 94.0 7" in text_of(page)
    metrics = json.loads((tmp_path / "out" / OUTPUTS[0]).read_text())
    boxes = metrics["oracle_box"]["phantom_b"]["sam"]["n4"]["real"]
    assert boxes == {"dice_oracle_box": 0.97, "dice_ellipse_in_box": 0.94}
    assert "drawn from the reference" not in text_of(html)


def test_page_is_self_contained_small_and_described(html):
    parser = Loads()
    parser.feed(html)
    assert parser.fetched == [] and parser.mute == []
    assert not re.search(r"https?://|@import|url\((?!#)", html)
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
    from pipeline.core import dataset

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
    assert "By country and device" in text
    # Cases 1, 3 and 5 of seven are Algerian, 0, 2, 4 and 6 Spanish.
    assert "phantom_b country: DZA sam 4 real 83.0" in text and "phantom_b country: ESP sam 4 real 83.0" in text
    assert "device:" not in text


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
    assert "own/place" not in world.run()


def result(word, mean=0.01, replicates=5, extra="synthetic", shuffled=False):
    return SimpleNamespace(
        synthetic=extra == "synthetic" and not shuffled,
        spec=Arm(extra=extra, ratio=1, shuffled=shuffled),
        difference=SimpleNamespace(mean=mean),
        dice=SimpleNamespace(n_replicates=replicates),
        verdict=Verdict(word, word),
    )


@pytest.mark.parametrize(
    ("words", "head"),
    [
        (["helps"], "Yes, on the held-out cohort"),
        (["helps", "helps"], "Yes, in all 2"),
        (["helps", "not shown"], "It helped in 1 of 2"),
        (["hurts", "helps"], "Mixed"),
        (["hurts", "not shown"], "No: it hurt in 1 of 2"),
        (["not shown", "not shown"], "No difference shown"),
        ([], "Not asked in this run"),
    ],
)
def test_headline_says_no_more_than_the_verdicts(words, head):
    assert answers.answer([result(word) for word in words], "real")[0].startswith(head)


@pytest.mark.parametrize("word", ["too few"])
def test_few_replicates_make_no_claim(word):
    head, sentence = answers.answer([result(word, replicates=4)], "real")
    assert head == "Too few replicates to say"
    assert "help" not in sentence and "+1.00 points" in sentence


def test_controls_that_fail_are_flagged():
    (fine, text), *_ = answers.controls([result("too few", mean=-0.03, shuffled=True)])
    assert fine and "−3.00 points" in text
    (fine, text), *_ = answers.controls([result("too few", mean=0.001, shuffled=True)])
    assert not fine and "suspicion" in text


@pytest.mark.parametrize(
    ("name", "raw", "phantom"),
    [
        ("phantom_b", "elsewhere", True),
        ("far", "data/raw/phantom/phantom_b", True),
        ("spanish", "data/raw/spanish", False),
    ],
)
def test_phantoms_are_known_by_name_or_folder(name, raw, phantom):
    assert report.is_phantom(name, raw) is phantom


def test_numbers_are_written_for_people():
    assert [numbers.points(value) for value in (0.0123, -0.004, -0.00001)] == ["+1.23", "−0.40", "0.00"]
    assert [numbers.significant(value) for value in (46.27, 0.00366, 0.0, 812.4, -0.0021)] == [
        "46.3",
        "0.00366",
        "0.00",
        "812",
        "−0.00210",
    ]
    assert numbers.span((3, 3)) == "3" and numbers.span((3, 5)) == "3–5" and numbers.span(None) == "–"


def test_gaps_between_names_and_files_are_errors():
    with pytest.raises(InputError, match="dvc repro score"):
        report.sample_pictures([{"id": "s", "obedience": "0.9", "nearest": "x", "distance": "1"}], [], [])


def compared(word, mean, cohort="far", arm="four", ratio=4, **spec):
    spec = {"extra": "synthetic", "curated": True, **spec}
    difference = Estimate(mean, None, None, Crossed(mean, 0.005, 10.0), 60, 5)
    one = result(word, mean)
    detectable = None if word == "too few" else 0.019
    one.verdict = Verdict(word, {"too few": "too few replicates to say: 2 of 5"}.get(word, word), None, detectable)
    one.difference, one.spec = difference, Arm(ratio=ratio, **spec)
    one.cohort, one.arm, one.segmenter, one.labels = cohort, arm, "sam", 20
    return one


@pytest.mark.parametrize(
    ("word", "mean", "text"),
    [
        ("helps", 0.031, "helps by 3.1 Dice points, 95 % interval +1.99 to +4.21, n = 60 patients, 5 replicates"),
        ("hurts", -0.031, "hurts by 3.1 Dice points, 95 % interval −4.21 to −1.99, n = 60 patients, 5 replicates"),
        (
            "not shown",
            0.004,
            "no evidence: +0.40 points, 95 % interval −0.71 to +1.51, n = 60 patients, 5 replicates; "
            "1.90 would have been found",
        ),
        ("too few", 0.004, "too few replicates to say: 2 of 5 (+0.40 points, n = 60 patients, 5 replicates)"),
    ],
)
def test_a_claim_says_how_much_how_sure_and_on_whom(word, mean, text):
    assert answers.claim(compared(word, mean)) == text


def test_advice_is_the_smallest_ratio_that_helps_everywhere():
    grid = [
        compared("not shown", 0.01, arm="one", ratio=1), compared("helps", 0.02, "near", "one", 1),
        compared("helps", 0.02), compared("helps", 0.03, "near"),
        compared("helps", 0.04, arm="eight", ratio=8), compared("helps", 0.05, "near", "eight", 8),
    ]  # fmt: skip
    ((segmenter, labels, sentence),) = answers.advice(grid)
    assert (segmenter, labels) == ("sam", 20)
    assert sentence == "use “four” (synthetic ×4, curated): +2.00 points on far, +3.00 points on near"
    ((*_, sentence),) = answers.advice(grid[:2])
    assert sentence == "“one” helps on near only: +1.00 points on far, +2.00 points on near"


def test_advice_claims_nothing_that_no_verdict_says():
    ((*_, sentence),) = answers.advice([compared("not shown", 0.01), compared("hurts", -0.02, arm="one", ratio=1)])
    assert sentence == "no ratio is shown to help; the highest mean is that of “four”, +1.00 points on far"
    ((*_, sentence),) = answers.advice([compared("too few", 0.01)])
    assert sentence.startswith("too few replicates to say: 2 of 5; the highest mean")
    assert answers.advice([compared("helps", 0.1, generous=True)]) == []
