"""Equal, re-encoded and near images; how they are grouped."""

import io
from collections import Counter

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from pipeline.cohorts import grouping
from pipeline.cohorts.doubles import Pair, fingerprint, pairs_between, pairs_within
from pipeline.cohorts.grouping import Union, as_json, find_doubles
from pipeline.data.case import Case
from tests.cohorts.fabricated import Speckle, frames
from tests.cohorts.reading import TWO, read

SPECKLE = Speckle(200, 260)


def smooth(i):
    return ndimage.gaussian_filter(SPECKLE.image(i), 1)


def prints(*images, patients=None, mask=None):
    patients = patients or [str(i) for i in range(len(images))]
    about = {"cohort": "c", "mask": mask, "mask_source": None if mask is None else "annotated"}
    return [
        fingerprint(Case(id=f"i{i}", patient=patient, image=image, **about))
        for i, (image, patient) in enumerate(zip(images, patients, strict=True))
    ]


def jpeg(image, quality):
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=quality)
    return np.asarray(Image.open(buffer))


def resized(image, x, y=None):
    size = round(image.shape[1] * x), round(image.shape[0] * (y or x))
    return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BICUBIC))


CHANGES = {
    "jpeg 95": lambda a: jpeg(a, 95),
    "jpeg 30": lambda a: jpeg(a, 30),
    "twice": lambda a: jpeg(jpeg(a, 30), 30),
    "half": lambda a: resized(a, 0.5),
    "double": lambda a: resized(a, 2),
    "squashed": lambda a: resized(a, 1, 0.7),
    "half, jpeg 75": lambda a: jpeg(resized(a, 0.5), 75),
    "double, jpeg 30": lambda a: jpeg(resized(a, 2), 30),
    "brighter": lambda a: np.clip(a * 0.9 + 20, 0, 255).astype(np.uint8),
}


@pytest.mark.parametrize("change", CHANGES)
def test_re_encoded_images_are_found(change):
    found = pairs_within(prints(smooth(0), smooth(1), CHANGES[change](smooth(0))))
    assert [(pair.first, pair.second, pair.kind) for pair in found] == [(0, 2, "re-encoded")]


def test_equal_images_are_told_once_each_with_the_first():
    a, b = smooth(0), smooth(1)
    assert pairs_within(prints(a, b, a, a)) == [Pair(0, 2, "equal", 1.0), Pair(0, 3, "equal", 1.0)]
    assert pairs_between(prints(b, a), prints(a, smooth(2), a)) == [Pair(1, 0, "equal", 1.0), Pair(1, 2, "equal", 1.0)]


def test_neighbouring_frames_are_near_and_others_nothing():
    images = list(frames(Speckle(256, 256), 12, 4))
    found = pairs_within(prints(*images))
    assert {pair.kind for pair in found} == {"near"}
    assert {(pair.first // 4, pair.second // 4) for pair in found} == {(0, 0), (1, 1), (2, 2)} and len(found) == 18


@pytest.mark.parametrize("block", [1, 2, 256])
def test_blocks_change_nothing(monkeypatch, block):
    monkeypatch.setattr("pipeline.cohorts.doubles.BLOCK", block)
    images = [smooth(0), smooth(1), jpeg(smooth(0), 50), smooth(1), resized(smooth(1), 0.6)]
    kinds = [pair[:3] for pair in pairs_within(prints(*images))]
    assert kinds == [(0, 2, "re-encoded"), (1, 3, "equal"), (1, 4, "re-encoded")]


def test_flat_images_resemble_nothing():
    flat = [np.full((40, 50), level, np.uint8) for level in (0, 9, 255)]
    assert pairs_within(prints(*flat, smooth(0))) == []


def test_sets_are_named_after_their_first_item_and_limited():
    union = Union("abcdef")
    assert union.join("c", "b") and union.join("e", "c") and union.join("b", "e")
    assert union.name("e") == "b" and union.sets() == [["b", "c", "e"]]
    assert not union.join("a", "c", largest=3) and union.join("d", "a", largest=2)
    assert union.sets() == [["a", "d"], ["b", "c", "e"]]


def test_patients_that_share_an_image_are_one():
    a, b, c, d = map(smooth, range(4))
    shared = prints(a, b, a, c, jpeg(c, 60), d, patients=["p", "q", "q", "r", "p", "s"])
    found = find_doubles(shared, merge_near=False)
    assert found.patients == {"p": "p", "q": "p", "r": "p", "s": "s"}
    told = as_json(found, shared, merge_near=False)
    assert told["merged_patients"] == [["p", "q", "r"]]
    assert told["doubles"] == [
        {"kind": "equal", "cases": ["i0", "i2"], "patients": ["p", "q"]},
        {"kind": "re-encoded", "cases": ["i3", "i4"], "patients": ["r", "p"]},
    ]


def test_two_masks_of_one_image_are_told():
    a, mask = smooth(0), np.ones((200, 260), np.uint8)
    both = prints(a, mask=mask) + prints(a, mask=mask) + prints(a, mask=1 - mask)
    told = as_json(find_doubles(both, merge_near=False), both, merge_near=False)
    assert [one["masks"] for one in told["doubles"]] == ["equal", "different"]


def test_near_images_are_merged_only_where_declared():
    images = prints(*frames(Speckle(256, 256), 9, 3))
    listed, merged = (find_doubles(images, merge_near=merge) for merge in (False, True))
    assert listed.groups == merged.groups == [[0, 1, 2], [3, 4, 5], [6, 7, 8]] and listed.near == 9
    assert len(set(listed.patients.values())) == 9 and len(set(merged.patients.values())) == 3


def test_the_bound_of_near_images_is_declared():
    still, other = (Speckle(256, 256).image(i).astype(float) for i in (0, 1))
    images = prints(*((share * still + (1 - share) * other).astype(np.uint8) for share in (1, 0.8, 0.6)))
    found = {bound: find_doubles(images, merge_near=True, threshold=bound) for bound in (0.7, 0.96, 0.999)}
    assert [one.near for one in found.values()] == [3, 1, 0]
    assert [len(set(one.patients.values())) for one in found.values()] == [1, 2, 3]
    assert as_json(found[0.7], images, merge_near=True)["near"]["threshold"] == 0.7


def test_copies_are_found_whatever_counts_as_near():
    found = pairs_within(prints(smooth(0), jpeg(smooth(0), 30)), near=0.9999)
    assert [pair.kind for pair in found] == ["re-encoded"]


def test_a_split_keeps_near_images_on_one_side_even_where_the_limit_parts_them(monkeypatch):
    monkeypatch.setattr(grouping, "LARGEST_GROUP", 3)
    images = prints(*frames(Speckle(256, 256), 12, 6))
    found = find_doubles(images, merge_near=True)
    assert found.apart > 0 and len(set(found.patients.values())) > 2
    assert set(found.sides) == set(found.patients.values())
    sides = [found.sides[found.patients[one.patient]] for one in images]
    assert sides == ["0"] * 6 + ["6"] * 6
    listed = find_doubles(images, merge_near=False)
    assert all(patient == side for patient, side in listed.sides.items())


def test_near_images_are_not_chained_beyond_the_limit(monkeypatch):
    monkeypatch.setattr(grouping, "LARGEST_GROUP", 3)
    images = prints(*frames(Speckle(256, 256), 8, 8))
    found = find_doubles(images, merge_near=True)
    assert max(map(len, found.groups)) == 3 and found.apart == 28 - sum(
        n * (n - 1) // 2 for n in map(len, found.groups)
    )
    assert Counter(found.patients.values()).most_common(1)[0][1] == 3


@pytest.mark.slow
def test_real_near_doubles(shared_data):
    """445 PSFHS images: 950 near pairs, none of them re-encoded, in 53 groups of up to 25 neighbouring frames."""
    both = {"task": TWO, "structures": {"pubic_symphysis": "symphysis", "fetal_head": "head"}}
    found = find_doubles([fingerprint(case) for case in read("psfhs", shared_data / "psfhs", **both)], merge_near=True)
    assert (found.same, found.near, found.apart, len(found.groups)) == ([], 950, 0, 53)
    assert max(map(len, found.groups)) == 25 and len(set(found.patients.values())) == 151


@pytest.mark.slow
def test_real_doubles_within_patients(shared_data):
    cases = [fingerprint(case) for case in read("fetal_planes", shared_data / "spanish")]
    told = as_json(find_doubles(cases, merge_near=False), cases, merge_near=False)
    assert [(one["kind"], one["masks"]) for one in told["doubles"]] == [("equal", "different")] * 2
    assert told["merged_patients"] == [] and told["near"]["pairs"] == 0
