"""The page, the card and the metadata of a set, from made-up scores and a tiny set of rings."""

import copy
import json
from dataclasses import replace

import pytest
import yaml

from pipeline import describe
from pipeline.data.dataset import open_dataset
from pipeline.data.structures import Structure
from pipeline.data.tables import read_table, write_table
from pipeline.data.writer import write_dataset
from pipeline.quality.measures import Measure, as_json
from pipeline.quality.pages.page import choose_samples, feature_in_words
from pipeline.quality.samples_table import read_samples
from pipeline.run.errors import InputError
from pipeline.run.files import write_json
from pipeline.run.stage import execute
from tests.self_contained import Loads, text_of

STRUCTURES = (Structure("head", "head"),)
REAL, FAR = "real unseen images", "psfhs images"
MEASURES = [
    Measure("fidelity", "kid", "domain", 0.26, 60, 0.37, REAL, 39.9, FAR, -0.6, 2.7, 1.1),
    Measure("coverage", "recall", "domain", 0.95, 60, 0.92, REAL, 0.75, FAR, 0.9, 1.0),
    Measure("mask_agreement", "dice", "head", 0.94, 12, 0.96, "the network", 0.6, "another's mask", 0.92, 0.95, 0.1),
    Measure("privacy", "copies", None, 1 / 12, 12, 0.0, REAL, 1.0, "exact copies", 0.0, 0.25),
    Measure("coverage", "diversity", None, 0.4, 12, None, None, 0.0, "one image a mask"),
    Measure("fidelity", "kid", "lite0", 0.2, 60, 0.01, REAL, 0.4, FAR, 0.15, 0.25, 0.02),
    Measure("fidelity", "two_sample", "lite0", 0.97, 60, 0.52, "real training images", 1.0, "every image told", 0.9, 1),
    Measure("fidelity", "two_sample_reference", "blurred_1px", 0.99, 60, 0.52, "real training images", 1.0, "all"),
    Measure("coverage", "brightness_spread", None, 0.6, 12, 1.2, REAL, 0.0, "all images alike", 0.5, 0.7),
]
USEFUL = [Measure("usefulness", "tstr", None, 0.9, 20, 0.93, "the labels", 0.6, "the mean mask", 0.88, 0.91, 0.05)]
WORDS = {"fidelity": "good", "coverage": "doubtful", "mask_agreement": "good", "privacy": "bad"}


def leaf(mean, distance=0.2):
    return {"distance": distance, "mean": mean, "std": 0.1, "n": 12, "undefined": 0}


class World:
    """Inputs of the stage under ``root``: twelve synthetic cases, of which the third is flagged."""

    def __init__(self, root, ring, cohort="hc18"):
        self.root = root
        real = [ring(i) for i in range(4)]
        made = [
            replace(ring(20 + i), id=f"s-{i:02d}", patient="patient-000", mask_source="parent", parent="case-000")
            for i in range(12)
        ]
        write_dataset(root / "train", real, role="train", structures=STRUCTURES)
        origin = {"cohort": cohort, "replicate": 0, "unlabelled": 2, "selected_on": 0, "sample": {"count": 12}}
        shared = {"role": "synthetic", "structures": STRUCTURES, "labels": ["case-000", "case-001"]}
        write_dataset(root / "set", made, **shared, provenance=origin)
        rows = [self.row("synthetic", f"s-{i:02d}", 0.7 + 0.02 * i, 0.5 + 0.01 * i, copy=i == 2) for i in range(12)]
        rows += [self.row("unseen", f"u-{i}", 0.95, 0.5, snr=None) for i in range(5)]
        write_table(root / "samples.csv", rows)
        self.scored = {
            "set": {
                "n": 12, "labels": 2, "unlabelled": 2, "cohort": cohort, "foreign": "psfhs", "replicate": 0,
                "image_size": 64,
            },
            "measures": as_json(MEASURES),
            "verdicts": {question: {"word": word, "text": f"About {question}."} for question, word in WORDS.items()},
            "cautions": ["Sets of 12 images are few."],
            "radiomics": [{"feature": "head.glcm.contrast", "distance": 0.8}],
            "masks": {
                "head": {
                    name: {"reference": leaf(0.3), "synthetic": leaf(0.25), "unseen": leaf(0.31), "labels": leaf(0.3)}
                    for name in ("area", "angle")
                }
            },
            "appearance": {
                name: {"reference": leaf(3), "synthetic": leaf(2), "unseen": leaf(None, None)}
                for name in ("field_mean", "snr")
            },
        }  # fmt: skip
        write_json(root / "usefulness.json", {"measures": as_json(USEFUL)})

    @staticmethod
    def row(which, id_, agreement, distance, *, copy=False, snr=2.5):
        return {
            "set": which, "id": id_, "mask_agreement": agreement, "boundary": 1.0, "nearest": "case-001",
            "distance": distance, "copy": copy, "imprint": 0.1, "imprinted": copy, "area": 0.3, "aspect": 0.8,
            "angle": 10.0, "row": 0.5, "column": 0.5, "grey_mean": 90.0 + distance, "grey_std": 30.0, "snr": snr,
            "axial_px": 1.0, "lateral_px": 1.5,
        }  # fmt: skip

    def run(self, out="out"):
        write_json(self.root / "quality.json", self.scored)
        names = {"synthetic": "set", "train": "train", "quality": "quality.json", "usefulness": "usefulness.json"}
        names |= {"samples": "samples.csv", "out": out, "distributions": f"{out}-curves"}
        execute(describe.run, None, {key: self.root / name for key, name in names.items()})
        return (self.root / out / "index.html").read_text()


@pytest.fixture(scope="module")
def world(tmp_path_factory, ring):
    return World(tmp_path_factory.mktemp("describe"), ring)


@pytest.fixture(scope="module", autouse=True)
def in_scratch(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("scratch"))
        yield


@pytest.fixture(scope="module")
def html(world):
    return world.run()


def test_four_questions_are_answered_first_in_a_word_and_a_sentence(html):
    text = text_of(html)
    for question, word in WORDS.items():
        assert f"{word} About {question}." in text
        assert text.index(f"About {question}.") < text.index("The numbers")
    assert (
        "reaches a Dice of 0.9 (0.88 to 0.91) on real unseen images; trained on the 2 real labels alone, 0.93" in text
    )


def test_every_number_stands_with_its_ends_interval_and_n(html):
    text = text_of(html)
    assert "KID , domain 0.37 real unseen images 0.26 ± 1.1 −0.6 to 2.7 39.9 psfhs images 60" in text
    assert "KID , ImageNet (EfficientNet-Lite0) 0.01 real unseen images 0.2" in text
    assert "not with published ones in Inception’s" in text
    assert "Two-sample test of degraded real images , blurred by 1 px 0.52 real training images 0.99" in text
    assert "Spread of brightness 1.2 real unseen images 0.6 0.5 to 0.7 0 all images alike 12" in text
    assert html.count('class="gauge"') == 9, "an end that is not there gives no gauge"
    assert "Mask agreement saturates" in text
    assert "The numbers Sets of 12 images are few." in text


def test_the_flagged_copy_comes_first_beside_what_it_copies(html):
    text = text_of(html)
    gallery = text[text.index("The most suspicious") : text.index("Those that agree with their mask least")]
    assert gallery.index("s-02 → case-001") < gallery.index("s-00 → case-001")
    assert "distance 0.52 copy rim along the mask" in gallery
    assert html.count('alt="nearest training image, case-001"') == 8 + 6 + 6


def test_the_page_is_self_contained_and_described(html):
    parser = Loads()
    parser.feed(html)
    assert parser.fetched == [] and parser.mute == []
    assert len(html) < 1_500_000


def test_equal_inputs_give_equal_bytes_and_no_place(world, html):
    assert world.run("again") == html
    assert str(world.root) not in html
    for name in ("README.md", "croissant.json"):
        assert (world.root / "out" / name).read_bytes() == (world.root / "again" / name).read_bytes()


def test_simulated_cohorts_are_said_to_be_simulated(html, tmp_path, ring):
    assert "nothing on this page is about patients" not in html
    assert "nothing on this page is about patients" in World(tmp_path, ring, "phantom_a").run()


def test_the_card_has_front_matter_and_the_same_numbers(world, html):
    card = (world.root / "out/README.md").read_text()
    front = yaml.safe_load(card.split("---\n")[1])
    assert front["task_categories"] == ["image-segmentation"] and front["size_categories"] == ["n<1K"]
    assert front["verdicts"] == WORDS
    kid = front["measures"][0]
    assert (kid["name"], kid["value"], kid["low"], kid["best_is"]) == ("kid", 0.26, -0.6, REAL)
    assert "| KID, domain | 0.26 | −0.6 to 2.7 | 0.37, real unseen images | 39.9, psfhs images | 60 |" in card
    assert "| KID, ImageNet (EfficientNet-Lite0) | 0.2 |" in card and "neither are Inception's" in card
    assert "- **Does it leak training patients?** Bad. About privacy." in card
    assert "| Diversity within a mask | 0.4 |  |  | 0, one image a mask | 12 |" in card


def test_croissant_lists_files_columns_and_numbers(world, html):
    import hashlib

    found = json.loads((world.root / "out/croissant.json").read_text())
    assert found["@type"] == "sc:Dataset" and found["conformsTo"] == "http://mlcommons.org/croissant/1.0"
    shard = (world.root / "set/part-00000.parquet").read_bytes()
    file, files = found["distribution"]
    assert file["sha256"] == hashlib.sha256(shard).hexdigest() and file["contentSize"] == f"{len(shard)} B"
    assert files["includes"] == "part-*.parquet" and "containedIn" not in files, "readers would find no row"
    assert found["name"] == "synthetic-head-hc18-2-0" and "hc18" in found["citeAs"]
    fields = {one["name"]: one["dataType"] for one in found["recordSet"][0]["field"]}
    assert fields["image"] == fields["mask"] == "sc:ImageObject" and fields["pixel_mm"] == "sc:Float"
    kid = next(one for one in found["additionalProperty"] if one["propertyID"] == "fidelity/kid/domain")
    assert (kid["value"], kid["minValue"], kid["maxValue"]) == (0.26, -0.6, 2.7)


def test_distributions_are_percentile_curves_of_both_sets(world, html):
    folder = world.root / "out-curves"
    assert not (folder / "snr.csv").exists(), "unseen images have no value of it"
    rows = read_table(folder / "mask_agreement.csv")
    assert list(rows[0]) == ["percentile", "synthetic", "unseen"] and len(rows) == 51
    assert float(rows[0]["synthetic"]) == pytest.approx(0.7) and float(rows[-1]["synthetic"]) == pytest.approx(0.92)
    assert {row["unseen"] for row in rows} == {"0.95"}


def refuse_table(tmp_path, rows, message):
    write_table(tmp_path / "samples.csv", rows)
    with pytest.raises(InputError, match=rf"samples\.csv: {message}"):
        read_samples(tmp_path / "samples.csv")


def test_a_sample_that_is_gone_is_named(world):
    cases = open_dataset(world.root / "set").cases
    row = World.row("synthetic", "s-99", 0.9, 0.5)
    with pytest.raises(InputError, match=r"samples\.csv: case 'case-001' is not in the set or its train split"):
        choose_samples([row], cases, cases, world.root / "samples.csv")


def drop(scored, path):
    *parents, last = path.split(".")
    for key in parents:
        scored = scored[key]
    return scored.pop(last)


@pytest.mark.parametrize(
    "path",
    [
        "appearance",
        "set.image_size",
        "verdicts.privacy.text",
        "masks.head.area.unseen",
        "appearance.snr.synthetic.mean",
    ],
)
def test_scores_of_another_version_are_refused(world, path):
    whole = copy.deepcopy(world.scored)
    drop(world.scored, path)
    try:
        with pytest.raises(InputError, match=rf"another version.*{path.split('.')[-1]}.*run `dvc repro score`"):
            world.run("refused")
    finally:
        world.scored = whole
    assert not (world.root / "refused").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"mask_agreement": "high"}, "case 's-00': mask_agreement is 'high', not a number"),
        ({"distance": None}, "case 's-00': distance is '', not a number"),
        ({"set": "unseen"}, "holds no row of set 'synthetic'"),
    ],
)
def test_a_damaged_table_of_samples_is_refused(tmp_path, change, message):
    refuse_table(tmp_path, [World.row("synthetic", "s-00", 0.9, 0.5) | change], message)


def test_a_table_without_a_column_is_refused(tmp_path):
    row = World.row("synthetic", "s-00", 0.9, 0.5)
    del row["copy"]
    refuse_table(tmp_path, [row], "column 'copy' is missing")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("head.glcm.contrast", "contrast of the grey-level co-occurrence matrix, head"),
        ("image.first_order.percentile_10", "10th percentile of the grey levels, whole image"),
        ("head.glszm.zone_percentage", "zone percentage (zones of one grey level, per pixel), head"),
    ],
)
def test_radiomics_features_are_put_in_words(name, words):
    assert feature_in_words(name) == words


def test_every_radiomics_feature_has_words_of_its_own():
    from pipeline.quality.radiomics_distance import FEATURES

    assert len({feature_in_words(name) for name in FEATURES}) == len(FEATURES)
