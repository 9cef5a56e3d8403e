import pytest

from pipeline.comparison.report.answers import asked
from pipeline.comparison.report.heat_map import heat_maps, shade
from tests.comparison.test_charts import results


def test_a_row_for_each_synthetic_arm_by_ratio_and_a_column_for_each_number_of_labels():
    maps = heat_maps(asked(results(segmenter="sam") + results(segmenter="unet")))
    assert list(maps) == [("far", "sam"), ("far", "unet")] and list(maps["far", "sam"]) == ["one", "four"]
    for arm, cells in maps["far", "sam"].items():
        assert {n: (one.arm, one.labels) for n, one in cells.items()} == {10: (arm, 10), 40: (arm, 40)}


def luminance(colour):
    """Relative luminance of WCAG 2."""
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("ink", ["#1d2830", "#3f4c55"])
@pytest.mark.parametrize("difference", [0.05, -0.05, 0.02, 0.0])
def test_numbers_stay_readable_on_every_colour(ink, difference):
    """Contrast of at least 4.5 (WCAG 2, AA)."""
    paper = luminance(shade(difference, 0.05))
    assert (paper + 0.05) / (luminance(ink) + 0.05) >= 4.5


def test_gains_are_blue_losses_red_and_nothing_white():
    def red_and_blue(colour):
        return int(colour[1:3], 16), int(colour[5:7], 16)

    red, blue = red_and_blue(shade(0.03, 0.05))
    assert blue > red
    red, blue = red_and_blue(shade(-0.03, 0.05))
    assert red > blue
    assert shade(0.0, 0.05) == shade(0.0, 0.0) == "#ffffff"
