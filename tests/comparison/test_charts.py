import re
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from pipeline.comparison.report import charts
from pipeline.comparison.report.series import arm_in_words, legend, series
from pipeline.comparison.statistics.estimates import estimate, verdicts
from pipeline.comparison.statistics.resampling import Patients
from pipeline.comparison.statistics.summary import Result, in_question
from pipeline.config.arms import Arm
from pipeline.tasks.metrics import METRICS

SPECS = {
    "real": Arm(extra="none"),
    "one": Arm(extra="synthetic", ratio=1, curated=True),
    "four": Arm(extra="synthetic", ratio=4, curated=True),
    "warped": Arm(extra="warped", ratio=4),
    "shuffled": Arm(extra="synthetic", ratio=4, shuffled=True),
}


def results(replicates=3, patients=12, segmenter="sam", metric="dice"):
    """Gains of the arms are better values, whatever the metric."""
    draws, sign = np.random.default_rng(0), 1 if METRICS[metric].better == "higher" else -1
    patients = Patients([f"p{i}" for i in range(patients)], 50, 0)
    base = draws.uniform(0.8, 0.95, (replicates, patients.n))
    made = []
    for labels in (10, 40):
        for arm, gain in (("real", 0), ("one", 0.01), ("four", 0.02), ("warped", 0.003), ("shuffled", -0.2)):
            values = base + sign * gain + draws.normal(0, 0.002, base.shape)
            difference = None if arm == "real" else estimate(values - base, patients)
            made.append(
                Result(
                    cohort="far",
                    segmenter=segmenter,
                    labels=labels,
                    arm=arm,
                    spec=SPECS[arm],
                    metric=METRICS[metric],
                    score=estimate(values, patients),
                    difference=difference,
                    beyond_warped=None,
                    verdict=verdicts([difference], sign)[0] if difference else None,
                    regions={},
                    replicate_means={metric: values.mean(axis=1).tolist()},
                    counts={},
                    asked=in_question(SPECS[arm], SPECS["real"]),
                )
            )
    return made


def curves(results):
    return charts.learning_curves(results, "real")


def ratios(results):
    return charts.score_against_ratio(results, "real")


def forest(results):
    return charts.differences(results, "real")


@pytest.mark.parametrize("draw", [ratios, forest, curves])
@pytest.mark.parametrize(("replicates", "patients"), [(3, 12), (1, 12), (1, 1)])
def test_charts_repeat_and_load_nothing(draw, replicates, patients):
    own = [replace(one, cohort='"far" <a>') for one in results(replicates, patients)]
    svg = draw(own)
    assert svg == draw(own)
    assert svg.startswith('<svg role="img" aria-label="') and "cohort &quot;far&quot; &lt;a&gt;" in svg[:150]
    assert "http" not in svg and "<metadata" not in svg


def test_ids_of_two_charts_do_not_clash():
    def ids(svg):
        return {part.split('"')[0] for part in svg.split(' id="')[1:]}

    first, second = (draw(results()) for draw in (ratios, forest))
    assert ids(first) and not ids(first) & ids(second)


def test_a_far_control_does_not_flatten_the_differences():
    svg = forest(results())
    assert svg.count("◀ −20.") == 2
    assert ratios(results()).count("▼ 6") == 2


def test_a_control_that_beats_all_is_seen_at_the_upper_edge():
    high = [replace(one, score=replace(one.score, mean=0.997)) if one.arm == "shuffled" else one for one in results()]
    assert ratios(high).count("▲ 99.7") == 2


def test_a_metric_where_lower_is_better_says_so_and_its_far_control_stands_above():
    lower = results(metric="hc_error_mm")
    drawn = ratios(lower)
    assert ">mean Circumference error, mm<" in drawn and ">lower is better<" in drawn and drawn.count("▲ 1.") == 2
    drawn_forest = forest(lower)
    assert (
        "difference in Circumference error, mm, negative is better" in drawn_forest
        and drawn_forest.count("+0.20 ▶") >= 1
    )
    assert [one.verdict.word for one in results(5, metric="hc_error_mm") if one.arm == "four"] == ["helps"] * 2
    assert "is better" not in ratios(results()) + forest(results())


def test_segmenters_are_named_where_there_are_several():
    both = results() + results(segmenter="unet")
    assert "unet, 40 labelled cases" in ratios(both)
    assert "unet · warped · 40" in forest(both)
    assert "sam" not in ratios(results()) + forest(results())


def test_legend_names_each_series_once():
    found = legend(SPECS.values())
    assert [name for name, *_ in found] == [
        "labelled images only",
        "synthetic, curated",
        "control: warped labelled images",
        "control: shuffled masks",
    ]


def test_arms_in_words():
    assert [arm_in_words(SPECS[arm]) for arm in ("real", "four", "shuffled")] == [
        "labelled images only",
        "synthetic ×4, curated",
        "synthetic ×4, shuffled masks",
    ]
    strong = Arm(extra="none", augment="strong")
    first = Arm(extra="synthetic", ratio=4, pretrain=0.5)
    assert arm_in_words(strong) == "labelled images only, strongly augmented" == series(strong)[0]
    assert arm_in_words(first) == "synthetic ×4, 50% of the steps before the labelled ones"
    chosen = Arm(extra="none", validated=True)
    assert arm_in_words(chosen) == "labelled images only, weights chosen on val"


def test_arms_of_one_ratio_stand_side_by_side_in_series_of_their_own():
    specs = [
        Arm(extra="synthetic", ratio=4, curated=True, **more) for more in ({}, {"augment": "strong"}, {"pretrain": 0.5})
    ]
    assert len({series(spec)[0] for spec in specs}) == len({series(spec)[2] for spec in specs}) == 3
    arms = [SimpleNamespace(arm=f"arm{i}", spec=spec) for i, spec in enumerate(specs)]
    beside = charts._beside_each_other([SimpleNamespace(arm="real", spec=SPECS["real"]), *arms], 0.1)
    assert beside == pytest.approx({"real": 0, "arm0": 3.9, "arm1": 4, "arm2": 4.1})


def test_many_panels_take_several_rows():
    def size(svg):
        return [float(value) for value in re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)', svg).groups()]

    one = results()
    many = [replace(result, labels=labels) for labels in range(8) for result in one if result.labels == 10]
    (width, height), (narrow, low) = size(ratios(many)), size(ratios(many[:15]))
    assert width == narrow and height == pytest.approx(3 * low)
