"""The Fréchet distance in radiomics, and the features that it names."""

import numpy as np
import pytest
from scipy import ndimage
from scipy.linalg import sqrtm

from pipeline.features import radiomics
from pipeline.quality.radiomics_distance import (
    BINNING,
    DESCRIPTIVE,
    FEATURES,
    MIN_PIXELS,
    frechet_radiomics_distance,
    most_different,
    radiomics_features,
)
from pipeline.run.errors import InputError


def named(image, region):
    return dict(zip(FEATURES, radiomics_features(image, region), strict=True))


def of(features, prefix):
    return np.array([value for name, value in features.items() if name.startswith(prefix)])


def disc(shape=(40, 50), radius=14):
    rows, columns = np.indices(shape)
    return np.hypot(rows - shape[0] / 2, columns - shape[1] / 2) < radius


def texture(shape=(40, 50), seed=0):
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=shape), 1)
    return np.clip(110 + 40 * noise / noise.std(), 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def rings(ring):
    return [ring(index) for index in range(60)]


@pytest.fixture(scope="module")
def reference(rings):
    return features_of(rings[:30])


def features_of(cases, change=lambda image: image):
    return np.stack([radiomics_features(change(case.image), case.mask > 0) for case in cases])


def test_features_are_a_part_of_those_of_radiomics():
    image, region = texture(), disc()
    found = named(image, region)
    assert len(found) == len(FEATURES) == len(set(FEATURES)) == 2 * len(DESCRIPTIVE) == 48
    every = dict(zip(radiomics.FEATURES, radiomics.radiomics(image, region, BINNING), strict=True))
    for name in DESCRIPTIVE:
        assert found[f"head.{name}"] == every[name]
    assert np.isfinite(list(found.values())).all()


def test_the_head_does_not_see_what_lies_outside():
    image, region = texture(), disc()
    elsewhere = np.where(region, image, texture(seed=1) // 2)
    inside, changed = named(image, region), named(elsewhere, region)
    np.testing.assert_array_equal(of(inside, "head"), of(changed, "head"))
    assert (of(inside, "image") != of(changed, "image")).mean() > 0.8


def test_a_head_that_fills_the_image_has_the_images_features():
    found = named(texture(), np.ones((40, 50), bool))
    np.testing.assert_array_equal(of(found, "head"), of(found, "image"))


@pytest.mark.parametrize("region", [np.zeros((40, 50), bool), disc(radius=2), np.eye(40, 50, dtype=bool)])
def test_no_region_or_a_tiny_one_has_no_features_of_the_head(region):
    assert region.sum() < MIN_PIXELS
    found = named(texture(), region)
    assert np.isnan(of(found, "head")).all()
    assert np.isfinite(of(found, "image")).all()


def blurred(sigma):
    return lambda image: ndimage.gaussian_filter(image.astype(float), sigma).round().astype(np.uint8)


def noisy(sigma):
    def change(image):
        noise = np.random.default_rng(int(image[0].sum())).normal(0, sigma, image.shape)
        return np.clip(image + noise, 0, 255).astype(np.uint8)

    return change


def brighter(shift):
    return lambda image: np.clip(image.astype(int) + shift, 0, 255).astype(np.uint8)


@pytest.mark.parametrize(
    ("change", "amounts"), [(blurred, (0.5, 1, 2, 4)), (noisy, (4, 8, 16, 32)), (brighter, (4, 10, 20, 40))]
)
def test_the_distance_grows_with_degradation(rings, reference, change, amounts):
    floor = frechet_radiomics_distance(features_of(rings[30:]), reference)
    distances = [frechet_radiomics_distance(features_of(rings[30:], change(amount)), reference) for amount in amounts]
    assert np.all(np.diff([floor, *distances]) > 0)


def test_a_sample_is_at_no_distance_from_itself(reference):
    assert frechet_radiomics_distance(reference, reference) == pytest.approx(0, abs=1e-8)


def test_units_do_not_count(rings, reference):
    others, scale = features_of(rings[30:]), np.logspace(-3, 3, len(FEATURES))
    expected = frechet_radiomics_distance(others, reference)
    assert frechet_radiomics_distance(others * scale, reference * scale) == pytest.approx(expected, rel=1e-4)


def samples(seed=0):
    """Correlated features of two sets, of different means, scales and units."""
    rng = np.random.default_rng(seed)
    mix, scale = rng.normal(size=(48, 48)) / 7, np.logspace(-3, 3, 48)
    return rng.normal(0.3, 1.2, (150, 48)) @ mix * scale, rng.normal(size=(120, 48)) @ mix * scale


def test_it_is_the_closed_form_of_gaussians_in_standard_deviations_of_the_reference():
    candidates, known = samples()
    a, b = ((values - known.mean(axis=0)) / known.std(axis=0) for values in (candidates, known))
    first, second = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    overlap = np.trace(sqrtm(first @ second)).real
    expected = (a.mean(axis=0) ** 2).sum() + np.trace(first) + np.trace(second) - 2 * overlap
    assert frechet_radiomics_distance(candidates, known) == pytest.approx(expected, rel=1e-6)


def test_it_is_that_of_frd_score_in_the_same_features():
    """Its authors' package, normalised by the reference (``norm_ref="d1"``) and before it takes a logarithm.

    Its own features need PyRadiomics, which has no wheels; the distance does not.
    """
    frd = pytest.importorskip("frd_score.frd", reason="frd-score is not installed; make builds the environment")
    candidates, known = samples(1)
    candidates, known = (np.insert(values, 7, 3.0, axis=1) for values in (candidates, known))
    normalised = [frd.z_score_normalize(values, base_distribution=known) for values in (candidates, known)]
    statistics = [part for x in normalised for part in (x.mean(axis=0), np.cov(x, rowvar=False))]
    expected = frd.calculate_frechet_distance(*statistics)
    assert frechet_radiomics_distance(candidates, known) == pytest.approx(expected, rel=1e-6)


def test_rows_with_nan_and_columns_without_variation_are_left_out(rings, reference):
    others = features_of(rings[30:])
    unlabelled = np.stack([radiomics_features(case.image, np.zeros(case.image.shape, bool)) for case in rings[:5]])
    expected = frechet_radiomics_distance(others, reference)
    assert frechet_radiomics_distance(np.vstack([others, unlabelled]), reference) == pytest.approx(expected)
    constant = np.pad(reference, ((0, 0), (0, 1)), constant_values=3)
    assert frechet_radiomics_distance(np.pad(others, ((0, 0), (0, 1))), constant) == pytest.approx(expected)


def test_unlabelled_images_alone_have_no_distance(rings, reference):
    unlabelled = np.stack([radiomics_features(case.image, np.zeros(case.image.shape, bool)) for case in rings[:5]])
    with pytest.raises(InputError, match=r"at least 2 images a side.*candidates have shape \(0, 48\)"):
        frechet_radiomics_distance(unlabelled, reference)
    with pytest.raises(InputError, match="varies"):
        frechet_radiomics_distance(reference, reference[[0, 0, 0]])


def test_a_brightness_shift_is_named_by_first_order_features(rings, reference):
    found = most_different(features_of(rings[:30], brighter(16)), reference, 4)
    assert len(found) == 4
    assert all(".first_order." in name for name, _ in found)
    distances = [distance for _, distance in found]
    assert distances == sorted(distances, reverse=True)


def test_a_blur_is_named_by_texture(rings, reference):
    names = [name for name, _ in most_different(features_of(rings[:30], blurred(1)), reference, 5)]
    assert not any(".first_order." in name for name in names[:2])


def test_a_shift_of_one_feature_is_named_with_its_size_in_standard_deviations():
    rng = np.random.default_rng(0)
    values = rng.normal(5, 2, (50, len(FEATURES)))
    values[:10, 3] = np.nan
    values[:, 4] = 1
    moved = values.copy()
    moved[:, 17] += 3 * values[:, 17].std()
    found = most_different(moved, values, len(FEATURES))
    assert found[0] == (FEATURES[17], pytest.approx(3))
    assert FEATURES[4] not in dict(found) and dict(found)[FEATURES[3]] == 0
