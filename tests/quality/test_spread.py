"""Spread of brightness, contrast and speckle over images: closed forms on made-up measurements, and real pixels."""

from types import SimpleNamespace

import numpy as np
import pytest

from pipeline.quality.measurement import APPEARANCE
from pipeline.quality.measures import Measure
from pipeline.quality.spread import spread_measures


def found(brightness, contrast=None, snr=None):
    """Measurements of one set; what is not given is that of real images."""
    appearance = np.zeros((len(brightness), len(APPEARANCE)))
    appearance[:, APPEARANCE.index("snr")] = brightness if snr is None else snr
    return SimpleNamespace(
        field=np.stack([brightness, brightness if contrast is None else contrast], axis=1), appearance=appearance
    )


def normal(std, seed, count=200):
    values = np.random.default_rng(seed).normal(size=count)
    return 60 + std * (values - values.mean()) / values.std(ddof=1)


def measures(synthetic, unseen=None, resamples=200):
    sets = {"synthetic": synthetic, "unseen": unseen or found(normal(8.8, 1)), "reference": found(normal(8.0, 2))}
    return {one.name: one for one in spread_measures(sets, "real", resamples, 0)}


def test_it_is_the_ratio_of_standard_deviations():
    one = measures(found(normal(4.0, 0), normal(16.0, 0), normal(8.0, 0)))
    assert one["brightness_spread"].value == pytest.approx(0.5)
    assert one["contrast_spread"].value == pytest.approx(2.0)
    assert one["speckle_spread"].value == pytest.approx(1.0)
    for measure in one.values():
        assert measure.question == "coverage" and measure.n == 200
        assert (measure.best, measure.worst) == (pytest.approx(1.1), 0)
        assert measure.low < measure.value < measure.high
    # Theory for normal values: a standard error of 1/√(2n) of the ratio.
    assert one["speckle_spread"].high - one["speckle_spread"].low == pytest.approx(2 * 1.96 / np.sqrt(400), rel=0.3)


def test_half_and_double_are_equally_far_off():
    half, double = (Measure("coverage", "brightness_spread", None, v, 9, 1.0, "real", 0.0, "") for v in (0.5, 2.0))
    assert half.position == double.position == 0.5
    even = Measure("coverage", "brightness_spread", None, 1.25, 9, 0.8, "real", 0.0, "")
    assert even.position == pytest.approx(0)
    assert Measure("coverage", "brightness_spread", None, 0.0, 9, 1.0, "real", 0.0, "").position == 1


def test_a_shift_of_all_images_is_no_change_of_spread():
    assert measures(found(normal(8.0, 0) + 50))["brightness_spread"].value == pytest.approx(1)


def test_images_all_alike_are_the_worst_reference():
    one = measures(found(np.full(50, 60.0)))["brightness_spread"]
    assert one.value == one.low == 0 and one.position == 1


def test_unknown_values_are_left_out_and_few_make_no_spread():
    values = normal(4.0, 0)
    speckle = np.where(np.arange(200) < 197, np.nan, values)
    one = measures(found(values, snr=speckle))
    assert one["speckle_spread"].value is None and one["speckle_spread"].n == 3
    assert one["brightness_spread"].value == pytest.approx(0.5)
    assert measures(found(values), found(normal(1, 0, 3)))["brightness_spread"].best is None
    assert measures(found(values), resamples=0)["brightness_spread"].low is None


def test_the_field_of_view_alone_is_measured(ring):
    """Black outside the sector and the padding of a letter-box do not count."""
    from dataclasses import replace

    from tests.quality.test_measurement import measured

    case = ring(0, height=48, width=64)
    below = replace(case, image=np.pad(case.image, ((0, 16), (0, 0))), mask=np.pad(case.mask, ((0, 16), (0, 0))))
    (own,), (black,) = measured([case]).field, measured([below]).field
    assert own[0] == pytest.approx(case.image.mean(), rel=0.05)
    np.testing.assert_allclose(black, own, rtol=0.05)
