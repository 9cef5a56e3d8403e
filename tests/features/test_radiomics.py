import numpy as np
import pytest
from scipy import ndimage, stats

from pipeline.features.radiomics import FEATURES, radiomics
from pipeline.quality.radiomics_distance import frechet_radiomics_distance, most_different
from pipeline.run.errors import InputError

LEVEL_STEP = 31
"""Between black and white, in the 32 grey levels of the co-occurrence matrix."""


def named(image, region=None):
    return dict(zip(FEATURES, radiomics(image, np.zeros(image.shape, bool) if region is None else region), strict=True))


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
    return np.stack([radiomics(change(case.image), case.mask > 0) for case in cases])


def test_names_and_values_are_of_one_length():
    values = radiomics(texture(), disc())
    assert values.shape == (len(FEATURES),) == (48,)
    assert values.dtype == np.float64 and np.isfinite(values).all()
    assert len(set(FEATURES)) == len(FEATURES)
    assert {"head.first_order.mean", "image.glcm.contrast", "head.lbp.uniform_3"} <= set(FEATURES)


@pytest.mark.parametrize("level", [0, 7, 100, 255])
def test_an_image_of_one_level_has_known_features(level):
    found = named(np.full((40, 50), level, np.uint8), disc())
    for area in ("head", "image"):
        expected = {"mean": level, "std": 0, "skewness": 0, "kurtosis": 0, "entropy": 0}
        expected |= {f"percentile_{p}": level for p in (10, 50, 90)}
        assert {name: found[f"{area}.first_order.{name}"] for name in expected} == expected
        matrix = {"contrast": 0, "dissimilarity": 0, "homogeneity": 1, "energy": 1, "correlation": 1, "entropy": 0}
        assert {name: found[f"{area}.glcm.{name}"] for name in matrix} == pytest.approx(matrix)
        assert found[f"{area}.lbp.uniform_8"] == 1
        assert of(found, f"{area}.lbp").sum() == pytest.approx(1)


def test_stripes_and_a_checkerboard_have_known_co_occurrences():
    rows, columns = np.indices((32, 40))
    stripes, board = (np.where(pattern % 2, 255, 0).astype(np.uint8) for pattern in (columns, rows + columns))
    # Of the 8 offsets, stripes differ along the row and along both diagonals at distance 1; the board along row and
    # column at distance 1.
    for image, differing in ((stripes, 3), (board, 2)):
        for area in ("head", "image"):
            found = named(image, np.ones(image.shape, bool))
            assert found[f"{area}.glcm.contrast"] == pytest.approx(differing / 8 * LEVEL_STEP**2)
            assert found[f"{area}.glcm.dissimilarity"] == pytest.approx(differing / 8 * LEVEL_STEP)
            assert found[f"{area}.glcm.correlation"] == pytest.approx(1 - 2 * differing / 8)
            assert found[f"{area}.glcm.entropy"] == pytest.approx(np.log(2), rel=1e-3)
            assert found[f"{area}.first_order.entropy"] == pytest.approx(1)


def test_first_order_features_are_those_of_scipy():
    image, region = texture(), disc()
    pixels = image[region].astype(float)
    found = of(named(image, region), "head.first_order")
    shape = stats.skew(pixels), stats.kurtosis(pixels)
    percentiles = np.percentile(pixels, [10, 50, 90], method="inverted_cdf")
    np.testing.assert_allclose(found[[0, 1, 2, 3, 5, 6, 7]], [pixels.mean(), pixels.std(), *shape, *percentiles])


def test_the_head_does_not_see_what_lies_outside():
    image, region = texture(), disc()
    elsewhere = np.where(region, image, texture(seed=1) // 2)
    inside, changed = named(image, region), named(elsewhere, region)
    np.testing.assert_array_equal(of(inside, "head"), of(changed, "head"))
    assert (of(inside, "image") != of(changed, "image")).mean() > 0.8


def test_a_head_that_fills_the_image_has_the_images_features():
    found = named(texture(), np.ones((40, 50), bool))
    np.testing.assert_array_equal(of(found, "head"), of(found, "image"))


def test_a_quarter_turn_changes_nothing():
    # Distances 1 and 2 along the diagonals are whole pixels, so the four directions change places.
    np.testing.assert_allclose(
        radiomics(np.rot90(texture()), np.rot90(disc())), radiomics(texture(), disc()), rtol=1e-9, atol=1e-9
    )


@pytest.mark.parametrize("region", [np.zeros((40, 50), bool), disc(radius=2), np.eye(40, 50, dtype=bool)])
def test_no_region_or_a_tiny_one_has_no_features_of_the_head(region):
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


def test_rows_with_nan_and_columns_without_variation_are_left_out(rings, reference):
    others = features_of(rings[30:])
    unlabelled = np.stack([radiomics(case.image, np.zeros(case.image.shape, bool)) for case in rings[:5]])
    expected = frechet_radiomics_distance(others, reference)
    assert frechet_radiomics_distance(np.vstack([others, unlabelled]), reference) == pytest.approx(expected)
    constant = np.pad(reference, ((0, 0), (0, 1)), constant_values=3)
    assert frechet_radiomics_distance(np.pad(others, ((0, 0), (0, 1))), constant) == pytest.approx(expected)


def test_unlabelled_images_alone_have_no_distance(rings, reference):
    unlabelled = np.stack([radiomics(case.image, np.zeros(case.image.shape, bool)) for case in rings[:5]])
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
    assert any(".glcm." in name or ".lbp." in name for name in names[:2])


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
