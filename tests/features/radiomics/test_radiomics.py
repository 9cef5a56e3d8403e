"""All features of a region together: names, invariances, directions, and regions of hardly anything."""

import warnings

import numpy as np
import pytest
from scipy import ndimage

from pipeline.config.binning import FixedBinNumber, FixedBinWidth
from pipeline.features.radiomics import FEATURES, IMPLIED, radiomics
from pipeline.run.errors import InputError

WIDTH, NUMBER = FixedBinWidth(width=8), FixedBinNumber(count=32)
BINNINGS = pytest.mark.parametrize("binning", [WIDTH, NUMBER], ids=["width", "number"])
TEXTURE = ("glcm.", "glrlm.", "glszm.", "ngldm.", "ngtdm.", "histogram.")
WITHOUT_NEIGHBOURS = ("glcm.", "ngtdm.")


def named(image, region, binning=WIDTH):
    return dict(zip(FEATURES, radiomics(image, region, binning), strict=True))


def disc(shape=(40, 50), radius=14):
    rows, columns = np.indices(shape)
    return np.hypot(rows - shape[0] / 2 + 0.3, columns - shape[1] / 2) < radius


def texture(shape=(40, 50), seed=0):
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=shape), 1)
    return np.clip(110 + 40 * noise / noise.std(), 0, 255).astype(np.uint8)


def of(features, *prefixes):
    return np.array([value for name, value in features.items() if name.startswith(prefixes)])


def test_names_and_values_are_of_one_length():
    values = radiomics(texture(), disc(), WIDTH)
    assert values.shape == (len(FEATURES),) == (113,)
    assert values.dtype == np.float64 and np.isfinite(values).all()
    assert len(set(FEATURES)) == len(FEATURES) and not set(IMPLIED) & set(FEATURES)
    asked = {"glcm.joint_entropy", "glrlm.short_runs_emphasis", "glszm.zone_size_entropy"}
    assert asked | {"ngldm.low_dependence_emphasis", "ngtdm.coarseness", "shape.sphericity"} <= set(FEATURES)


@BINNINGS
@pytest.mark.parametrize("kind", [np.float32, np.float64, np.int16, np.uint16, np.int64])
def test_the_type_of_the_grey_levels_does_not_count(binning, kind):
    """Products of uint8 overflow; a published pipeline lost its texture features to that."""
    image = np.random.default_rng(0).integers(0, 256, (40, 50)).astype(np.uint8)
    found = radiomics(image, disc(), binning)
    np.testing.assert_array_equal(found, radiomics(image.astype(kind), disc(), binning))
    assert len(np.unique(image[disc()])) > 200 and named(image, disc())["first_order.energy"] > 255**2


@BINNINGS
def test_what_lies_outside_the_region_changes_nothing(binning):
    image, region = texture().astype(float), disc()
    expected = radiomics(image, region, binning)
    for outside in (0, 255, texture(seed=1), np.nan, -1e6):
        np.testing.assert_array_equal(radiomics(np.where(region, image, outside), region, binning), expected)
    framed = radiomics(np.pad(image, (5, 9), constant_values=77), np.pad(region, (5, 9)), binning)
    np.testing.assert_array_equal(framed, expected)


@BINNINGS
@pytest.mark.parametrize(
    "move",
    [np.rot90, lambda a: np.rot90(a, 2), np.flipud, np.transpose],
    ids=["quarter turn", "half turn", "flip", "transpose"],
)
def test_quarter_turns_and_flips_change_nothing(binning, move):
    """The four directions change places, and their mean stays."""
    found = radiomics(move(texture()), move(disc()), binning)
    np.testing.assert_allclose(found, radiomics(texture(), disc(), binning), rtol=1e-9, atol=1e-9)


def test_offset_and_gain_do_not_count_with_a_fixed_number_of_bins():
    image, region = texture().astype(float), disc()
    plain, shifted, scaled = (named(one, region, NUMBER) for one in (image, image + 37, 4 * image))
    for other in (shifted, scaled):
        np.testing.assert_array_equal(of(other, *TEXTURE, "shape."), of(plain, *TEXTURE, "shape."))
    same = ("variance", "skewness", "kurtosis", "range", "interquartile_range", "mean_absolute_deviation")
    for name in same:
        assert shifted[f"first_order.{name}"] == pytest.approx(plain[f"first_order.{name}"])
    assert shifted["first_order.mean"] == pytest.approx(plain["first_order.mean"] + 37)
    assert scaled["first_order.variance"] == pytest.approx(16 * plain["first_order.variance"])


def test_a_brighter_region_is_seen_with_bins_of_fixed_width():
    plain, shifted = (named(image, disc()) for image in (texture() // 2, texture() // 2 + 80))
    assert shifted["glcm.joint_average"] == pytest.approx(plain["glcm.joint_average"] + 10)
    assert shifted["glcm.contrast"] == pytest.approx(plain["glcm.contrast"])
    assert shifted["glszm.zone_percentage"] == pytest.approx(plain["glszm.zone_percentage"])
    assert shifted["ngldm.high_grey_level_count_emphasis"] > plain["ngldm.high_grey_level_count_emphasis"]


def test_smoothing_moves_texture_one_way_and_noise_the_other():
    image, region = texture(shape=(80, 90)), disc((80, 90), 30)
    noise = np.random.default_rng(1).normal(size=image.shape)
    smooth, rough = ndimage.gaussian_filter(image.astype(float), 1.5), np.clip(image + 12 * noise, 0, 255)
    found = [named(one, region) for one in (smooth, image, rough)]
    rising = "glcm.contrast glcm.joint_entropy glcm.difference_entropy glrlm.short_runs_emphasis glrlm.run_percentage "
    rising += "glszm.zone_percentage glszm.small_zone_emphasis ngldm.low_dependence_emphasis ngtdm.complexity"
    falling = "glcm.correlation glcm.inverse_difference_moment glrlm.long_runs_emphasis glszm.large_zone_emphasis "
    falling += "ngldm.high_dependence_emphasis ngtdm.coarseness"
    for name in rising.split():
        assert np.all(np.diff([one[name] for one in found]) > 0), name
    for name in falling.split():
        assert np.all(np.diff([one[name] for one in found]) < 0), name
    assert len({tuple(of(one, "shape.")) for one in found}) == 1


@BINNINGS
def test_an_empty_region_has_no_features(binning):
    assert np.isnan(radiomics(texture(), np.zeros((40, 50), bool), binning)).all()


@BINNINGS
@pytest.mark.parametrize("level", [0, 7, 255])
def test_a_region_of_one_grey_level_has_known_features(binning, level):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = named(np.full((40, 50), level, np.uint8), disc(), binning)
    assert np.isfinite(list(found.values())).all()
    expected = {"glcm.contrast": 0, "glcm.joint_entropy": 0, "glcm.correlation": 1, "glcm.angular_second_moment": 1}
    expected |= {"glcm.information_correlation_1": 0, "glcm.information_correlation_2": 0}
    expected |= {"glcm.inverse_difference": 1, "glszm.zone_percentage": 1 / disc().sum(), "glszm.zone_size_entropy": 0}
    expected |= {"ngtdm.coarseness": 1e6, "ngtdm.contrast": 0, "ngtdm.busyness": 0, "ngtdm.complexity": 0}
    expected |= {"ngtdm.strength": 0, "histogram.entropy": 0, "histogram.uniformity": 1}
    expected |= {"first_order.mean": level, "first_order.variance": 0, "first_order.skewness": 0}
    assert {name: found[name] for name in expected} == pytest.approx(expected)


@BINNINGS
def test_one_pixel_has_every_feature_that_needs_no_neighbour(binning):
    region = np.zeros((40, 50), bool)
    region[3, 4] = True
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = named(texture(), region, binning)
    for name, value in found.items():
        assert np.isnan(value) == name.startswith(WITHOUT_NEIGHBOURS), name
    assert found["first_order.mean"] == texture()[3, 4] and found["shape.pixel_area"] == 1
    assert found["glrlm.run_percentage"] == found["glszm.zone_percentage"] == 1


@BINNINGS
def test_scattered_and_thin_regions_raise_nothing(binning):
    rng = np.random.default_rng(0)
    regions = [rng.random((9, 11)) < share for share in (0.02, 0.05, 0.1, 0.3, 0.6) for _ in range(8)]
    line, apart = np.zeros((9, 11), bool), np.zeros((9, 11), bool)
    line[4] = apart[::3, ::3] = True
    for region in [*regions, line, line.T, apart, np.eye(9, 11, dtype=bool)]:
        image = rng.integers(0, 3, region.shape) * 40
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            found = named(image, region, binning)
        if region.any():
            lonely = ndimage.label(region, np.ones((3, 3)))[1] == region.sum()
            for name, value in found.items():
                assert np.isnan(value) == (lonely and name.startswith(WITHOUT_NEIGHBOURS)), name


@pytest.mark.parametrize(
    ("image", "region", "message"),
    [
        (np.zeros((4, 5)), np.ones((5, 4), bool), r"shape \(4, 5\) and the region \(5, 4\)"),
        (np.zeros((4, 5, 3)), np.ones((4, 5, 3), bool), r"an image \(H, W\)"),
        (np.full((4, 5), np.nan), np.ones((4, 5), bool), "not finite"),
        (np.full((4, 5), -2), np.ones((4, 5), bool), "lower the minimum"),
        (np.full((4, 5), 1e7), np.ones((4, 5), bool), "widen them"),
    ],
)
def test_what_cannot_be_described_is_refused(image, region, message):
    with pytest.raises(InputError, match=message):
        radiomics(image, region, WIDTH)
