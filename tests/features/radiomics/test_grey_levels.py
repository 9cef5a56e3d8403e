"""First-order statistics, bins and the intensity histogram."""

import numpy as np
import pytest
from pydantic import TypeAdapter
from scipy import stats

from pipeline.config.binning import Binning, FixedBinNumber, FixedBinWidth
from pipeline.features.radiomics import first_order, histogram
from pipeline.features.radiomics.discretisation import discretise
from pipeline.run.errors import InputError


def named(module, *arguments):
    return dict(zip(module.NAMES, module.features(*arguments), strict=True))


def test_first_order_statistics_are_those_of_scipy():
    values = np.random.default_rng(0).gamma(2, 20, 997)
    found = named(first_order, values)
    low, first, third, high = np.percentile(values, [10, 25, 75, 90], method="inverted_cdf")
    middle = values[(values >= low) & (values <= high)]
    expected = {
        "mean": values.mean(),
        "variance": values.var(),
        "skewness": stats.skew(values),
        "kurtosis": stats.kurtosis(values),
        "median": np.median(values),
        "minimum": values.min(),
        "percentile_10": low,
        "percentile_90": high,
        "maximum": values.max(),
        "interquartile_range": third - first,
        "range": np.ptp(values),
        "mean_absolute_deviation": np.abs(values - values.mean()).mean(),
        "robust_mean_absolute_deviation": np.abs(middle - middle.mean()).mean(),
        "median_absolute_deviation": np.abs(values - np.median(values)).mean(),
        "coefficient_of_variation": values.std() / values.mean(),
        "quartile_coefficient_of_dispersion": (third - first) / (third + first),
        "energy": (values**2).sum(),
        "root_mean_square": np.sqrt((values**2).mean()),
    }
    assert found == pytest.approx(expected) and list(found) == list(expected)


@pytest.mark.parametrize("count", [1, 2, 9, 10, 11, 40, 100])
def test_percentiles_are_values_that_occur(count):
    values = np.arange(count, dtype=float)[::-1]
    found = named(first_order, values)
    for percent in (10, 90):
        expected = np.percentile(values, percent, method="inverted_cdf")
        assert found[f"percentile_{percent}"] == expected
    assert found["median"] == np.median(values)


@pytest.mark.parametrize("value", [0.0, 7.0, 0.1, -3.0])
def test_values_that_are_all_equal_have_no_spread(value):
    found = named(first_order, np.full(13, value))
    level = {"mean", "median", "minimum", "maximum", "percentile_10", "percentile_90"}
    assert {name: found[name] for name in level} == dict.fromkeys(level, value)
    rest = set(found) - level - {"energy", "root_mean_square"}
    assert {name: found[name] for name in rest} == dict.fromkeys(rest, 0)


def test_coefficients_of_a_mean_of_nothing():
    mostly_black = named(first_order, np.array([0.0] * 9 + [5]))
    assert mostly_black["quartile_coefficient_of_dispersion"] == 0
    balanced = named(first_order, np.array([-2.0, 2.0]))
    assert np.isnan(balanced["coefficient_of_variation"])
    assert np.isnan(balanced["quartile_coefficient_of_dispersion"])


def test_bins_of_fixed_width_by_hand():
    levels, count = discretise(np.array([0.0, 7.9, 8, 15, 16, 255]), FixedBinWidth(width=8))
    assert levels.tolist() == [1, 1, 2, 2, 3, 32] and count == 32
    levels, count = discretise(np.array([-3.0, -1, 0]), FixedBinWidth(width=2, minimum=-3))
    assert levels.tolist() == [1, 2, 2] and count == 2


def test_a_fixed_number_of_bins_by_hand():
    levels, count = discretise(np.array([10.0, 14.9, 15, 19.9, 20]), FixedBinNumber(count=2))
    assert levels.tolist() == [1, 1, 2, 2, 2] and count == 2
    levels, count = discretise(np.arange(256.0), FixedBinNumber(count=32))
    # IBSI divides by the range, 255, so the last value would be alone in a bin of its own were it not clipped.
    assert count == 32 and np.bincount(levels)[1:].tolist() == [8] * 32
    levels, count = discretise(np.full(3, 9.0), FixedBinNumber(count=4))
    assert levels.tolist() == [1, 1, 1] and count == 4


@pytest.mark.parametrize("count", [3, 7, 10, 64, 256])
def test_every_bin_of_a_fixed_number_begins_where_it_should(count):
    edges = np.arange(count + 1.0)
    levels, _ = discretise(3 * edges + 11, FixedBinNumber(count=count))
    assert levels.tolist() == [*range(1, count + 1), count]


@pytest.mark.parametrize(
    ("values", "binning", "message"),
    [
        ([5.0, -1], FixedBinWidth(width=8), "minimum=0; the least grey level is -1"),
        ([0.0, 255], FixedBinWidth(width=0.5), "width 0.5 are 511 levels, 256 at most"),
    ],
)
def test_bins_that_do_not_fit_are_refused(values, binning, message):
    with pytest.raises(InputError, match=message):
        discretise(np.array(values), binning)


@pytest.mark.parametrize(
    "options", [{"width": 0}, {"width": -8}, {"width": 8, "count": 4}, {"kind": "equal", "width": 8}]
)
def test_settings_of_another_kind_are_refused(options):
    with pytest.raises(ValueError):
        FixedBinWidth(**options)
    for count in (1, 257):
        with pytest.raises(ValueError):
            FixedBinNumber(count=count)


def test_the_kind_of_bins_says_which_options_apply():
    read = TypeAdapter(Binning).validate_python
    assert read({"kind": "fixed_bin_width", "width": 8}) == FixedBinWidth(width=8)
    assert read({"kind": "fixed_bin_number", "count": 32}) == FixedBinNumber(count=32)
    for given in ({"kind": "fixed_bin_number", "count": 32, "minimum": 0}, {"width": 8}, {"kind": "equal", "count": 8}):
        with pytest.raises(ValueError):
            read(given)


def test_a_histogram_by_hand():
    levels = np.repeat(np.arange(1, 6), [4, 0, 6, 6, 0]).astype(np.uint16)
    found = named(histogram, levels, 5)
    # Levels 3 and 4 are equally common; the mean is 2.875.
    assert found["mode"] == 3
    assert found["uniformity"] == pytest.approx((16 + 36 + 36) / 256)
    assert found["entropy"] == pytest.approx(-(4 * np.log2(4 / 16) + 12 * np.log2(6 / 16)) / 16)
    # Differences: −4, then (6 − 4) / 2 = 1, 3, −3, −6.
    assert (found["maximum_gradient"], found["maximum_gradient_level"]) == (3, 3)
    assert (found["minimum_gradient"], found["minimum_gradient_level"]) == (-6, 5)


def test_the_lower_of_two_modes_at_one_distance_from_the_mean():
    assert named(histogram, np.array([1, 3], np.uint16), 3)["mode"] == 1
