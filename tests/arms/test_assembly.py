"""What arms add to their labels, as datasets."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from pipeline.arms.assembly import assemble_from_labels, assemble_from_samples, extra_count, shuffled
from pipeline.config.arms import Arm
from pipeline.config.augmentation import Warp
from pipeline.data.case import pixel_hash
from pipeline.data.dataset import read_dataset
from pipeline.data.structures import Structure
from pipeline.data.writer import write_dataset
from pipeline.diffusion.pair_limits import keeps_pair
from pipeline.run.errors import InputError
from pipeline.tasks.segmentation.finetuning import label_budget, real_count

STRUCTURES = (Structure("head", "head"),)
WARP = Warp(rotate_deg=8, scale=0.1, aspect=0.1, shift=0.03, elastic=0.005)


@pytest.fixture(scope="module")
def train(ring, tmp_path_factory):
    """A train split of ten patients; the rings of a replicate's five labels are drawn from it."""
    folder = tmp_path_factory.mktemp("train") / "train"
    write_dataset(folder, [ring(i) for i in range(10)], role="train", structures=STRUCTURES)
    return folder


@pytest.fixture(scope="module")
def samples(ring, tmp_path_factory):
    """Twelve synthetic rings, made from two labels and three unlabelled images."""
    folder = tmp_path_factory.mktemp("samples") / "samples"
    made = [ring(100 + i, id=f"synthetic-{i}", mask_source="shape_model") for i in range(12)]
    origin = {"cohort": "rings", "unlabelled": 3, "curated": {"kept": 12, "of": 20}}
    write_dataset(folder, made, role="synthetic", structures=STRUCTURES, labels=["a", "b"], provenance=origin)
    return folder


def from_labels(train, out, labels=5, **arm):
    assemble_from_labels("arm", Arm(**arm), train, labels, 0, 32, WARP, partial(keeps_pair, None), 0, out)
    return read_dataset(out)


def from_samples(samples, out, labels=5, **arm):
    assemble_from_samples("arm", Arm(extra="synthetic", **arm), samples, labels, 0, 0, out)
    return read_dataset(out)


def test_an_arm_without_extra_cases_adds_an_empty_dataset(train, tmp_path):
    added = from_labels(train, tmp_path / "arm", extra="none")
    assert (added.role, len(added.cases), len(added.labels)) == ("extra", 0, 5)


def test_the_ratio_counts_the_first_samples_per_label(samples, tmp_path):
    added, made = from_samples(samples, tmp_path / "arm", ratio=1.6), read_dataset(samples)
    assert [case.id for case in added.cases] == [f"synthetic-{i}" for i in range(8)]
    for case, own in zip(added.cases, made.cases, strict=False):
        np.testing.assert_array_equal(case.image, own.image)
        np.testing.assert_array_equal(case.mask, own.mask)
    assert added.labels == ("a", "b") and added.provenance["available"] == 12


def test_a_curated_set_is_used_again_when_short_under_ids_of_its_own(samples, tmp_path):
    cases = from_samples(samples, tmp_path / "arm", ratio=5, curated=True).cases
    assert [case.id for case in cases[11:14]] == ["synthetic-11", "synthetic-0-again-1", "synthetic-1-again-1"]
    np.testing.assert_array_equal(cases[0].image, cases[24].image)
    assert len({case.id for case in cases}) == len(cases) == 25


@pytest.mark.parametrize(
    ("arm", "words"),
    [
        ({"ratio": 4}, "ratio 4 of 5 labels asks for 20 .* there are 12; raise sample.count"),
        ({"ratio": 0.05}, "ratio 0.05 of 5 labels is not one case; raise the ratio"),
    ],
)
def test_too_few_samples_name_the_arm_and_the_remedy(samples, tmp_path, arm, words):
    with pytest.raises(InputError, match=f"arm 'arm': {words}"):
        from_samples(samples, tmp_path / "arm", **arm)


def test_shuffled_masks_are_the_same_masks_on_other_images(samples, tmp_path):
    plain, mixed = (from_samples(samples, tmp_path / str(on), ratio=2, shuffled=on).cases for on in (False, True))
    assert [pixel_hash(case.image) for case in plain] == [pixel_hash(case.image) for case in mixed]
    assert sorted(case.mask.tobytes() for case in plain) == sorted(case.mask.tobytes() for case in mixed)
    assert all((a.mask != b.mask).any() for a, b in zip(plain, mixed, strict=True))


def test_no_copy_of_a_sample_gets_a_mask_of_its_own(ring):
    """Samples that are used again, or that curation repeats, are one image: none of its copies keeps the mask."""
    once = [ring(i) for i in range(4)]
    cases = [replace(case, id=f"{case.id}-{turn}") for turn in range(5) for case in once]
    for seed in range(20):
        for case, mixed in zip(cases, shuffled(cases, seed), strict=True):
            assert (case.mask != mixed.mask).any()
            np.testing.assert_array_equal(case.image, mixed.image)
    with pytest.raises(InputError, match="two different samples"):
        shuffled([once[0], replace(once[0], id="again")], 0)


def test_a_mask_from_an_image_of_another_shape_is_placed_as_both_are_letter_boxed(ring):
    wide, high = ring(0), ring(1, height=64, width=48)
    first, second = shuffled([wide, high], 0)
    assert first.mask.shape == wide.image.shape and second.mask.shape == high.image.shape
    assert first.mask.any() and second.mask.any()


@pytest.mark.parametrize("kind", ["warped", "copy_paste"])
def test_derived_cases_are_made_from_the_labels_alone(train, tmp_path, kind):
    added = from_labels(train, tmp_path / "arm", extra=kind, ratio=2)
    assert len(added.cases) == 10 and {case.parent for case in added.cases} <= set(added.labels)
    assert all(case.image.shape == (24, 32) and case.mask.any() for case in added.cases)


def test_equal_arms_give_equal_bytes(train, samples, tmp_path):
    for name in "ab":
        from_labels(train, tmp_path / name / "warped", extra="warped", ratio=1)
        from_samples(samples, tmp_path / name / "shuffled", ratio=1, shuffled=True)
    files = sorted(path.relative_to(tmp_path / "a") for path in (tmp_path / "a").rglob("*.*"))
    assert files
    assert all((tmp_path / "a" / path).read_bytes() == (tmp_path / "b" / path).read_bytes() for path in files)


@pytest.mark.parametrize(("real", "count"), [(1.0, 5), (0.4, 2), (0.0, 0)])
def test_a_share_of_the_labels_is_trained_on(real, count):
    assert real_count("arm", Arm(extra="warped", ratio=1, real=real), 5) == count


def test_a_share_or_ratio_of_less_than_one_case_is_refused():
    with pytest.raises(InputError, match=r"arm 'arm': real 0.05 of 5 labels is not one case; raise it, or say 0"):
        real_count("arm", Arm(extra="warped", ratio=1, real=0.05), 5)
    with pytest.raises(InputError, match=r"arm 'arm': ratio 0.05 of 5 labels is not one case; raise the ratio"):
        extra_count("arm", Arm(extra="warped", ratio=0.05), 5)


def test_the_budget_counts_every_label_that_was_seen(samples, train, tmp_path):
    """Those of the segmenter and of what made its extra cases are one set; the ones it was selected on come on top."""
    trained_on = {"labels": ["b", "c", "d"], "selected_on": ["v"], "unlabelled_cases": 0}
    budget = label_budget(trained_on, from_samples(samples, tmp_path / "a", ratio=1, curated=True))
    assert (budget["labels"], budget["unlabelled"], budget["extra"]) == (5, 3, 5)
    assert budget["samples"] == {"available": 12, "curated": {"kept": 12, "of": 20}}
    alone = label_budget(trained_on, from_labels(train, tmp_path / "b", extra="none"))
    assert alone["unlabelled"] == 0 and alone["samples"] is None
    # The generator's unlabelled images and the segmenter's are of one stage, not two sets.
    trained_on["unlabelled_cases"] = 4
    both = label_budget(trained_on, from_samples(samples, tmp_path / "c", ratio=1, curated=True))
    assert both["unlabelled"] == 4
