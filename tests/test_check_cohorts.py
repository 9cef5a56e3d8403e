"""The stage that stops a run whose cohorts share images or patients."""

import json
from types import SimpleNamespace

import numpy as np
import pytest

from pipeline import check_cohorts
from pipeline.cohorts.readers import READERS
from pipeline.config.cohorts import Cohort
from pipeline.config.grid import Grid
from pipeline.data.case import Case
from pipeline.data.structures import Structure
from pipeline.data.writer import assemble_dataset, write_shards
from pipeline.run.errors import InputError
from tests.cohorts.fabricated import Speckle, frames
from tests.cohorts.test_doubles import CHANGES

HEAD = (Structure("head", "head"),)
SPECKLE = Speckle(80, 100)
SPLITS = ("evaluation", "train", "train", "val", "test")


class Run:
    """Cohorts under a folder; each a mapping of case → image, or (image, patient)."""

    def __init__(self, root):
        self.root = root
        self.cohorts = {
            "a": ("train", {f"a{i}": SPECKLE.image(i) for i in range(5)}, {}),
            "b": ("held_out", {f"b{i}": SPECKLE.image(10 + i) for i in range(3)}, {}),
            "c": ("held_out", {f"c{i}": SPECKLE.image(20 + i) for i in range(3)}, {}),
            "d": ("foreign", {f"d{i}": SPECKLE.image(30 + i) for i in range(3)}, {}),
            "e": ("unlabelled", {f"e{i}": SPECKLE.image(40 + i) for i in range(3)}, {}),
        }
        # Sizes are asked for of no cohort here.
        self.grid = {"train": "-", "foreign": "-", "labels": (2,), "replicates": (0, 1)}
        self.folds = 2
        self.unlabelled, self.source, self.near, self.publishers = "e", {}, {}, {}

    def put(self, cohort, **images):
        self.cohorts[cohort][1].update(images)
        return self

    def path(self, cohort):
        return self.root / self.cohorts[cohort][0] / cohort

    def run(self):
        for name, (role, images, patients) in self.cohorts.items():
            cases = [
                Case(
                    id=id_, cohort=name, patient=patients.get(id_, id_), image=image,
                    split=SPLITS[i] if role == "train" else "train" if role == "unlabelled" else "test",
                    mask=np.ones_like(image) if role != "unlabelled" else None,
                    mask_source="annotated" if role != "unlabelled" else None,
                )
                for i, (id_, image) in enumerate(images.items())
            ]  # fmt: skip
            shards = write_shards(self.root / "drafts" / name, cases, HEAD)
            near = {"groups": [], "pairs": 0, "threshold": 0.95, "apart": 0, "merged": False, "across_splits": 0}
            card = {"near": near | self.near.get(name, {}), "remarks": []}
            card |= {"passed_over": [], "warnings": [], "doubles": [], "merged_patients": []} | self.source
            card["public_patients"] = self.publishers.get(name, card.get("public_patients"))
            assemble_dataset(
                self.path(name), shards, role=role, structures=HEAD, labels=(), provenance={"reader": "x"}, source=card
            )
        declared = {
            name: Cohort.model_validate(
                {
                    "role": role, "reader": "folder", "raw": name, "labelled": role != "unlabelled",
                    "splits": dict.fromkeys(("evaluation", "train", "val", "test"), 0.25) if role == "train" else None,
                }
            )
            for name, (role, *_) in self.cohorts.items()
        }  # fmt: skip
        out, passed = self.root / "cohorts.json", self.root / "passed.txt"
        check_cohorts.run(
            SimpleNamespace(
                seed=0, grid=Grid.model_construct(**self.grid), cohorts=declared,
                filter=SimpleNamespace(folds=self.folds), score=SimpleNamespace(neighbours=3),
            ),
            train=self.path("a"), held_out=self.root / "held_out", foreign=self.path("d"),
            unlabelled=self.path(self.unlabelled), out=out, passed=passed,
        )  # fmt: skip
        return json.loads(out.read_text()), passed.read_bytes()


def test_cohorts_with_nothing_in_common_pass(tmp_path):
    told, passed = Run(tmp_path / "one").run()
    assert {name: (one["role"], one["cases"]) for name, one in told["cohorts"].items()} == {
        "a": ("train", 5), "b": ("held_out", 3), "c": ("held_out", 3), "d": ("foreign", 3), "e": ("unlabelled", 3),
    }  # fmt: skip
    assert told["between"] == []
    other = Run(tmp_path / "two").put("c", more=SPECKLE.image(99))
    assert other.run()[1] == passed, "what is trained would run again"


def test_there_may_be_no_held_out_cohort(tmp_path):
    run = Run(tmp_path)
    for name in "bc":
        del run.cohorts[name]
    (tmp_path / "held_out").mkdir()
    assert set(run.run()[0]["cohorts"]) == {"a", "d", "e"}


@pytest.mark.parametrize("change", [None, "jpeg 30", "half, jpeg 75", "squashed"])
@pytest.mark.parametrize(
    ("one", "other"),
    [("a", "b"), ("a", "c"), ("e", "b")],
)
def test_an_image_that_is_trained_on_and_held_out_stops_the_run(tmp_path, one, other, change):
    from scipy import ndimage

    image = ndimage.gaussian_filter(Speckle(200, 260).image(7), 1)
    changed = CHANGES[change](image) if change else image
    run = Run(tmp_path)
    first = next(iter(run.cohorts[one][1]))
    run.put(one, **{first: image}).put(other, twin=changed)
    kind = "re-encoded" if change else "equal"
    roles = {name: run.cohorts[name][0] for name in (one, other)}
    places = {
        one: f"case '{first}' of cohort '{one}' ({roles[one]})",
        other: f"case 'twin' of cohort '{other}' ({roles[other]})",
    }
    with pytest.raises(InputError) as error:
        run.run()
    message = str(error.value)
    assert all(place in message for place in places.values())
    assert f"are the same image ({kind})" in message and "\n" not in message
    assert not (tmp_path / "passed.txt").exists() and not (tmp_path / "cohorts.json").exists()


@pytest.mark.parametrize(("place", "fine"), [(0, False), (1, True), (3, False), (4, False)])
def test_an_unlabelled_image_may_be_a_train_one_and_no_other_of_the_training_cohort(tmp_path, place, fine):
    run = Run(tmp_path).put("e", twin=SPECKLE.image(place))
    if fine:
        (one,) = run.run()[0]["between"]
        assert one == {"cohorts": ["a", "e"], "kind": "equal", "count": 1, "first": [["a1", "twin"]]}
    else:
        with pytest.raises(InputError, match=f"case 'a{place}' of cohort 'a' .* and case 'twin' of cohort 'e'"):
            run.run()


@pytest.mark.parametrize(("one", "other"), [("a", "d"), ("b", "c"), ("b", "d"), ("d", "e")])
def test_other_doubles_are_listed(tmp_path, one, other):
    image = SPECKLE.image(77)
    run = Run(tmp_path)
    run.put(one, **{next(iter(run.cohorts[one][1])): image}).put(other, twin=image)
    (found,) = run.run()[0]["between"]
    assert (found["cohorts"], found["kind"], found["count"]) == ([one, other], "equal", 1)


def test_near_images_are_listed(tmp_path):
    still = list(frames(Speckle(256, 256), 6, 6))
    run = Run(tmp_path).put("a", a0=still[0]).put("b", f1=still[1], f2=still[2])
    (found,) = run.run()[0]["between"]
    assert found == {"cohorts": ["a", "b"], "kind": "near", "count": 2, "first": [["a0", "f1"], ["a0", "f2"]]}


@pytest.mark.parametrize("merged", ["a", "b"])
def test_near_images_stop_the_run_where_they_are_one_patient(tmp_path, merged):
    """``near_doubles: merge`` of either cohort says that neighbouring frames are one woman's."""
    still = list(frames(Speckle(256, 256), 6, 6))
    run = Run(tmp_path).put("a", a0=still[0]).put("b", f1=still[1], f2=still[2])
    run.near[merged] = {"merged": True}
    with pytest.raises(InputError, match=r"case 'a0' of .* and case 'f1' of .* are near images, .*; 1 more such pairs"):
        run.run()


def test_the_lower_of_two_declared_correlations_counts(tmp_path):
    still, other = Speckle(256, 256).image(0).astype(float), Speckle(256, 256).image(1)
    run = Run(tmp_path).put("a", a0=still.astype(np.uint8)).put("b", f1=(0.7 * still + 0.3 * other).astype(np.uint8))
    assert run.run()[0]["between"] == []
    run = Run(tmp_path / "lower").put("a", **run.cohorts["a"][1]).put("b", **run.cohorts["b"][1])
    run.near["b"] = {"threshold": 0.8}
    assert [one["kind"] for one in run.run()[0]["between"]] == ["near"]


def test_all_are_counted(tmp_path, caplog):
    run = Run(tmp_path).put("b", **{f"t{i}": SPECKLE.image(i) for i in range(4)})
    with pytest.raises(InputError, match="are the same image .*; 3 more such pairs; remove the cases from one"):
        run.run()
    assert "'a' and 'b' share 4 cases of 'b': t0, t1, t2, t3" in caplog.text


@pytest.mark.parametrize("public", [True, False])
def test_patients_count_where_their_names_are_public(tmp_path, public):
    run = Run(tmp_path)
    run.source = {"public_patients": public, "merged_patients": [["p7", "p8"]]}
    run.cohorts["a"][2]["a1"], run.cohorts["b"][2]["b2"] = "p7", "p8"
    if not public:
        assert run.run()[0]["between"] == []
        return
    with pytest.raises(InputError, match=r"case 'a1' of cohort 'a' \(train\) and case 'b2' of .* are one patient"):
        run.run()


@pytest.mark.parametrize(("train", "held_out"), [("psfhs", "fh_ps_aop"), ("fh_ps_aop", "psfhs")])
def test_file_numbers_of_psfhs_and_the_challenge_are_one_series(tmp_path, train, held_out):
    run = Run(tmp_path)
    run.publishers = {"a": READERS[train].PATIENTS_NAMED_BY, "b": READERS[held_out].PATIENTS_NAMED_BY}
    run.cohorts["a"][2]["a1"], run.cohorts["b"][2]["b2"] = "03744", "04001"
    assert run.run()[0]["between"] == []
    again = Run(tmp_path / "shared")
    again.publishers, again.cohorts = run.publishers, run.cohorts
    again.cohorts["b"][2]["b2"] = "03744"
    with pytest.raises(InputError, match=r"case 'a1' of cohort 'a' .* and case 'b2' of .* are one patient"):
        again.run()


def test_the_training_cohort_as_source_of_unlabelled_images_is_read_once(tmp_path):
    run = Run(tmp_path)
    run.unlabelled = "a"
    assert "e" not in run.run()[0]["cohorts"]


@pytest.mark.parametrize(
    ("grid", "told"),
    [
        ({"train": "a"}, "grid.labels asks for 3 labelled cases, the train split of 'a' has 2; lower it, or raise"),
        ({"foreign": "d"}, "cohort 'd' has 3 images in all, and the scores of a synthetic set need"),
    ],
)
def test_cohorts_that_are_too_small_stop_the_run(tmp_path, grid, told):
    run = Run(tmp_path)
    run.grid |= {"labels": (2, 3)} | grid
    with pytest.raises(InputError, match=told):
        run.run()
    assert not (tmp_path / "passed.txt").exists()


def test_labels_of_fewer_patients_than_the_filter_has_folds_stop_the_run(tmp_path):
    """Two images of one patient cannot be cross-fitted by patients."""
    run = Run(tmp_path)
    run.cohorts["a"][2].update(a1="p", a2="p")
    told = "filter.folds is 2, and the 2 labels of replicate 0 are of 1 patient of cohort '-'; lower filter.folds, or"
    with pytest.raises(InputError, match=told):
        run.run()
    assert not (tmp_path / "passed.txt").exists()
