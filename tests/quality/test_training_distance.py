"""Copies, planted and disguised, must be found; unseen images must not be taken for copies."""

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from pipeline.imaging.letterbox import letterbox
from pipeline.quality import neighbours
from pipeline.quality.roc import auc
from pipeline.quality.training_distance import copy_threshold, membership, training_distance
from pipeline.simulation import simulate_case


def descriptors(images):
    return np.stack([neighbours.descriptor(image) for image in images])


def grey(images):
    return np.clip(np.rint(images), 0, 255).astype(np.uint8)


def turned(images, degrees, scale=1.0):
    angle = np.radians(degrees)
    matrix = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) / scale
    centre = np.array([31.5, 31.5])
    offset = centre - matrix @ centre
    return grey(np.stack([ndimage.affine_transform(one.astype(float), matrix, offset, order=1) for one in images]))


DISGUISES = {
    "nothing": lambda x: x,
    "mirrored": lambda x: x[:, :, ::-1],
    "upside_down": lambda x: x[:, ::-1],
    "noise": lambda x: grey(x + np.random.default_rng(0).normal(0, 10, x.shape)),
    "shifted": lambda x: np.roll(x, (3, -5), axis=(1, 2)),
    "darker": lambda x: grey(0.6 * x),
    "gamma": lambda x: grey(255 * (x / 255) ** 0.7),
    "blurred": lambda x: grey(ndimage.gaussian_filter(x.astype(float), (0, 1, 1))),
    "turned": lambda x: turned(x, 6),
    "scaled": lambda x: turned(x, 0, 1.06),
    "mirrored_shifted_darker_noisy": lambda x: grey(
        255 * (np.roll(x[:, :, ::-1], (2, 3), axis=(1, 2)) / 255) ** 0.8
        + np.random.default_rng(1).normal(0, 10, x.shape)
    ),
}


@pytest.fixture(scope="module")
def phantoms():
    """64 px images: 40 shown to a generator, 32 not."""
    images = np.stack([letterbox(simulate_case("phantom_a", i, seed=5).image, 64)[0] for i in range(72)])
    return images[:40], images[40:]


@pytest.fixture(scope="module")
def real(shared_data):
    """64 px images of HC18: 60 shown, 40 of other patients not. In random order: file names follow the week."""
    paths = sorted((shared_data / "hc18/training_set").glob("???_HC.png"))
    order = np.random.default_rng(0).permutation(len(paths))[:100]
    images = np.stack([letterbox(np.asarray(Image.open(paths[i]).convert("L")), 64)[0] for i in order])
    return images[:60], images[60:]


@pytest.fixture(scope="module", params=["phantoms", "real"])
def images(request):
    return request.getfixturevalue(request.param)


def ratio(found):
    return np.median(found.distance) / np.median(found.unseen)


@pytest.fixture(scope="module")
def planted(images):
    """The distances of eight copies in every disguise, one disguise after the other."""
    shown, unseen = images
    copies = np.concatenate([disguise(shown[:8]) for disguise in DISGUISES.values()])
    patients = [str(i) for i in range(len(shown))]
    return training_distance(descriptors(copies), descriptors(shown), descriptors(unseen), patients)


@pytest.mark.parametrize("disguise", DISGUISES)
def test_a_planted_copy_is_caught_whatever_its_disguise(planted, disguise):
    start = 8 * list(DISGUISES).index(disguise)
    these = slice(start, start + 8)
    assert planted.copies[these].all()
    np.testing.assert_array_equal(planted.nearest[these], np.arange(8))
    assert not planted.authentic[these].any()
    assert np.median(planted.distance[these]) / np.median(planted.unseen) < 0.4


def test_an_unseen_image_is_not_taken_for_a_copy(images):
    shown, unseen = images
    half = len(unseen) // 2
    patients = [str(i) for i in range(len(shown))]
    found = training_distance(descriptors(unseen[:half]), descriptors(shown), descriptors(unseen[half:]), patients)
    assert not found.copies.any()
    assert ratio(found) == pytest.approx(1, abs=0.15)
    assert found.authentic.mean() == pytest.approx(found.authentic_unseen.mean(), abs=0.35)


def test_the_ratio_and_authenticity_fall_as_copies_are_added(images):
    shown, unseen = images
    own, fresh = descriptors(shown), descriptors(unseen)
    patients = [str(i) for i in range(len(shown))]
    half = len(unseen) // 2
    found = [
        training_distance(np.concatenate([fresh[: half - k], own[:k]]), own, fresh[half:], patients)
        for k in (0, half // 2, half)
    ]
    assert [one.copies.sum() for one in found] == [0, half // 2, half]
    for values in ([ratio(one) for one in found], [one.authentic.mean() for one in found]):
        assert values == sorted(values, reverse=True) and values[0] > values[-1]


def test_membership_inference_sees_copies_and_is_blind_without(images):
    shown, unseen = images
    own, fresh = descriptors(shown), descriptors(unseen)
    half = len(unseen) // 2
    scores, truth = membership(own, fresh[:half], own)
    assert auc(scores, truth) == 1
    scores, truth = membership(own[:half], fresh[:half], fresh[half:])
    assert auc(scores, truth) == pytest.approx(0.5, abs=0.2)


def test_images_of_one_patient_do_not_make_copies_authentic(phantoms):
    """Two equal images shown, of one patient: the distance between them must not excuse a copy of either."""
    shown, unseen = phantoms
    doubled = np.concatenate([shown[:1], shown])
    patients = ["0", *map(str, range(len(shown)))]
    near = grey(shown[:1] + np.random.default_rng(0).normal(0, 12, shown[:1].shape))
    found = training_distance(descriptors(near), descriptors(doubled), descriptors(unseen), patients)
    assert not found.authentic.any()


def test_the_threshold_scales_with_what_unseen_images_show():
    assert copy_threshold(np.array([0.2, 0.4, 0.6])) == pytest.approx(0.16)


def test_a_uniform_image_resembles_nothing():
    flat = descriptors(np.full((2, 64, 64), 90, np.uint8))
    assert not flat.any()
    rng = np.random.default_rng(0)
    others = descriptors(rng.integers(0, 255, (4, 64, 64)).astype(np.uint8))
    np.testing.assert_allclose(neighbours.nearest(flat, others).distance, 1, atol=1e-3)


def test_neighbours_do_not_depend_on_the_block(phantoms, monkeypatch):
    shown, unseen = map(descriptors, phantoms)
    whole = neighbours.nearest(unseen, shown)
    monkeypatch.setattr(neighbours, "_BLOCK", 7)
    parts = neighbours.nearest(unseen, shown)
    np.testing.assert_allclose(parts.distance, whole.distance, atol=1e-4)
    np.testing.assert_array_equal(parts.nearest, whole.nearest)


def test_excluded_pairs_do_not_count(phantoms):
    own = descriptors(phantoms[0])
    found = neighbours.nearest(own, own, np.eye(len(own), dtype=bool))
    assert (found.nearest != np.arange(len(own))).all()
    assert found.distance.min() > 0.05
