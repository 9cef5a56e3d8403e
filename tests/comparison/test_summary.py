import math
from itertools import product

import pytest

from pipeline.comparison.exports import long_table, metrics
from pipeline.comparison.quality import Shape, SyntheticSets
from pipeline.comparison.statistics.standings import between_segmenters
from pipeline.comparison.statistics.subgroups import by_subgroup
from pipeline.comparison.statistics.summary import patients_of, summarise
from pipeline.quality.measures import Measure
from pipeline.run.errors import InputError
from tests.comparison.cells import ARMS, grid, load, person, row, task, write_cells

GRID = grid(replicates=(0, 3))
ONE_CELL = grid(arms=("real",))
NO_SETS = SyntheticSets({}, {}, {})


@pytest.fixture
def folder(tmp_path):
    write_cells(
        tmp_path,
        {
            "sam-10-0-real": [row("a", 0.8, mm=0.5), row("b", 0.6)],
            "sam-10-3-real": [row("a", 0.9, mm=0.5), row("b", 0.7)],
            "sam-10-0-synthetic": [row("a", 0.9, mm=0.5), row("b", 0.8)],
            "sam-10-3-synthetic": [row("a", 0.9, mm=0.5), row("b", 0.0, missing=True)],
        },
    )
    return tmp_path


def summarised(scores):
    return summarise(scores, ARMS, "real", ["far"], patients_of(scores, 200, 0))


def standings(scores, segmenters):
    return between_segmenters(scores, segmenters, "real", patients_of(scores, 100, 0))


def subgroups(scores):
    return by_subgroup(scores, list(ARMS), "real", 100, 0)


def test_known_means_and_paired_differences(folder):
    real, synthetic = summarised(load(folder, GRID))
    assert (real.arm, synthetic.arm) == ("real", "synthetic")
    assert real.score.mean == pytest.approx(0.75)
    assert real.of_replicates == pytest.approx([0.7, 0.8])
    assert (real.score.n_cases, real.score.n_replicates, real.score.n_patients) == (2, 2, 2)
    assert real.difference is None and real.verdict is None
    assert synthetic.difference.mean == pytest.approx(0.65 - 0.75)
    assert synthetic.difference.replicates.n == 2
    assert synthetic.verdict.text == "too few replicates to say: 2 of 5"


def test_missing_predictions_are_counted_and_scored(folder):
    synthetic = summarised(load(folder, GRID))[1]
    assert synthetic.counts == {"missing": 1}
    assert synthetic.regions["head"]["missing"][1] == 4
    assert synthetic.score.mean == pytest.approx((0.9 + 0.8 + 0.9 + 0.0) / 4)


def test_millimetres_are_means_of_the_cases_that_have_them(folder):
    result = summarised(load(folder, GRID))[0]
    assert (result.regions["head"]["hd95_mm"], result.score.n_cases) == ((pytest.approx(5.0), 2), 2)


def test_what_is_known_is_counted_in_every_replicate(tmp_path):
    """An error over the measured cases alone is known in one of four, in the second replicate."""
    nan = math.nan
    write_cells(
        tmp_path,
        {
            "sam-10-0-real": [row("a", 0.8, aop_error_valid_deg=nan), row("b", 0.6, aop_error_valid_deg=nan)],
            "sam-10-3-real": [row("a", 0.9, aop_error_valid_deg=3.0), row("b", 0.7, aop_error_valid_deg=nan)],
        },
    )
    (real,) = summarised(load(tmp_path, grid(replicates=(0, 3), arms=("real",))))
    assert real.regions["head"]["aop_error_valid_deg"] == (3.0, 1) and real.regions["head"]["dice"][1] == 4


def test_unknown_pixel_sizes_give_no_millimetres(tmp_path):
    write_cells(tmp_path, {"sam-10-0-real": [row("a", 0.5), row("b", 0.7)]})
    assert "hd95_mm" not in summarised(load(tmp_path, ONE_CELL))[0].regions["head"]


TWO_STRUCTURES = task(("symphysis", "fetal_head"), {"all": ("symphysis", "fetal_head")}, roles={"fetal_head": "head"})


def test_a_case_is_the_mean_of_its_structures_and_unions_stand_beside_them(tmp_path):
    rows = [
        row("b", 0.4, region="symphysis", share=0.1), row("b", 0.8, region="fetal_head", share=0.3),
        row("b", 0.99, region="all"), row("a", 1.0, region="fetal_head", hc_error_percent=1.5, share=0.2),
    ]  # fmt: skip
    write_cells(tmp_path, {"sam-10-0-real": rows})
    scores = load(tmp_path, ONE_CELL, about=TWO_STRUCTURES)
    own = scores["far", "sam", 10, "real"]
    assert [case.id for case in own.cases] == ["b", "a"]
    assert own.primary.tolist() == [[pytest.approx(0.6), 1.0]]
    assert own.head_sizes().tolist() == [0.3, 0.2], "of the structure whose role is head"
    (result,) = summarised(scores)
    known = {region: values["dice"][1] for region, values in result.regions.items()}
    assert known == {"symphysis": 1, "fetal_head": 2, "all": 1}
    assert result.replicate_means["hc_error_percent"] == [1.5]
    assert result.regions["all"]["dice"][0] == 0.99 and "hc_error_percent" not in result.regions["all"]
    leaf = metrics([result], NO_SETS, [], [])["far"]["sam"]["n10"]["real"]
    assert (leaf["dice"], leaf["hc_error_percent"], leaf["missing"]) == (0.8, 1.5, 0)


def test_where_lower_is_better_a_smaller_value_helps(tmp_path):
    """Five replicates, twelve patients: the circumference error falls by a millimetre, Dice by ten points."""
    for arm, r in product(ARMS, range(5)):
        more = arm == "synthetic"
        rows = [row(f"p{i:02}", 0.9 - 0.1 * more, hc_error_mm=4 - more + 0.1 * i + 0.01 * r * more) for i in range(12)]
        write_cells(tmp_path, {f"sam-10-{r}-{arm}": [*rows, row("q", 0.9)]})
    cells = grid(replicates=range(5))
    errors = load(tmp_path, cells, about=task(primary="hc_error_mm"))
    _, lower = summarised(errors)
    assert lower.difference.mean == pytest.approx(-0.98) and lower.gain == pytest.approx(0.98)
    assert (lower.verdict.word, lower.score.n_cases) == ("helps", 12)
    assert errors["far", "sam", 10, "real"].left_out == 1, "a case without the primary"
    assert [one["difference"] for one in long_table([lower], range(5), "synthetic")] == [0] * 5
    _, higher = summarised(load(tmp_path, cells))
    assert (higher.verdict.word, higher.score.n_cases) == ("hurts", 13)


def test_a_cohort_in_which_no_case_has_the_primary_is_an_error(folder):
    with pytest.raises(InputError, match="no case of cohort 'far' has the metric 'hc_error_mm'"):
        load(folder, GRID, about=task(primary="hc_error_mm"))


def test_scores_of_a_case_that_the_cohort_does_not_have_are_an_error(folder):
    from pipeline.comparison.scores import load_scores

    with pytest.raises(InputError, match="case 'b' is not in the dataset of 'far'"):
        load_scores(folder, GRID, {"far": [person("a")]}, task())


def test_missing_cell_names_file_and_remedy(folder):
    (folder / "sam-10-3-synthetic.csv").unlink()
    with pytest.raises(InputError, match=r"sam-10-3-synthetic\.csv.*run the stage that makes it"):
        summarised(load(folder, GRID))


def test_cohort_without_cases_is_an_error(folder):
    with pytest.raises(InputError, match="no case of cohort 'near'"):
        load(folder, GRID, cohorts=("far", "near"))


def test_cells_that_score_other_cases_are_an_error(folder):
    write_cells(folder, {"sam-10-3-synthetic": [row("a", 0.9), row("c", 0.4)]})
    with pytest.raises(InputError, match="cannot be paired"):
        summarised(load(folder, GRID))


def test_metrics_are_small_nested_and_finite(folder):
    measures = [
        (Measure("fidelity", "kid", "domain", 0.3, 40, 0.01, "real", 0.9, "far"), [0.2, 0.4]),
        (Measure("privacy", "training_distance", None, 0.8, 9, 1.0, "real", 0.0, "copies"), [0.8]),
    ]
    shapes = [
        Shape(structure, descriptor, ({"synthetic": {"distance": distance}},))
        for structure, descriptor, distance in (
            ("head", "area", 0.2),
            ("neck", "area", 0.4),
            ("head", "angle", 0.5),
            ("neck", "angle", None),
            ("neck", "row", None),
        )
    ]
    tree = metrics(summarised(load(folder, GRID)), SyntheticSets({10: measures}, {10: shapes}, {}), [], [])
    leaf = tree["far"]["sam"]["n10"]["real"]
    assert leaf == {
        "dice": 0.75,
        "iou": pytest.approx(leaf["iou"]),
        "hd95_px": 10.0,
        "hd95_mm": 5.0,
        "missing": 0,
        "n_cases": 2,
        "n_replicates": 2,
    }
    assert tree["far"]["sam"]["n10"]["synthetic"]["dice_minus_baseline"] == pytest.approx(-0.1)
    assert tree["synthetic"]["n10"] == {
        "kid_domain": 0.3,
        "kid_domain_best": 0.01,
        "kid_domain_worst": 0.9,
        "training_distance": 0.8,
        "mask_area": 0.3,
        "mask_angle": 0.5,
        "mask_row": None,
    }


def test_long_table_has_a_row_per_replicate(folder):
    rows = long_table(summarised(load(folder, GRID)), GRID.replicates, "real")
    assert [(one["arm"], one["ratio"], one["replicate"]) for one in rows] == [
        ("real", 0.0, 0),
        ("real", 0.0, 3),
        ("synthetic", 2.0, 0),
        ("synthetic", 2.0, 3),
    ]
    assert [one["dice"] for one in rows] == pytest.approx([0.7, 0.8, 0.85, 0.45])
    assert [one["difference"] for one in rows] == pytest.approx([0, 0, 0.15, -0.35])
    assert all(math.isfinite(one["hd95_mm"]) for one in rows)


TWO = grid(segmenters=("sam", "unet"))


def two_segmenters(folder):
    write_cells(
        folder,
        {
            "sam-10-0-real": [row("a", 0.8), row("b", 0.6), row("c", 0.7)],
            "sam-10-0-synthetic": [row("a", 0.9), row("b", 0.8), row("c", 0.7)],
            "unet-10-0-real": [row("a", 0.9), row("b", 0.9), row("c", 0.6)],
            "unet-10-0-synthetic": [row("a", 0.8), row("b", 0.9), row("c", 0.6)],
        },
    )
    return load(folder, TWO, [person("a", country="ESP"), person("b", country="DZA")])


def test_differences_are_taken_within_a_segmenter(tmp_path):
    results = summarised(two_segmenters(tmp_path))
    assert [(one.segmenter, one.arm) for one in results] == [
        ("sam", "real"), ("sam", "synthetic"), ("unet", "real"), ("unet", "synthetic")
    ]  # fmt: skip
    assert [one.difference and one.difference.mean for one in results] == [
        None, pytest.approx(0.1), None, pytest.approx(-0.1 / 3)
    ]  # fmt: skip
    tree = metrics(results, NO_SETS, [], [])
    assert tree["far"]["unet"]["n10"]["synthetic"]["dice_minus_baseline"] == pytest.approx(-0.1 / 3, abs=1e-6)
    rows = long_table(results, (0,), "real")
    assert [one["segmenter"] for one in rows] == ["sam", "sam", "unet", "unet"]
    assert [one["difference"] for one in rows] == pytest.approx([0, 0.1, 0, -0.1 / 3])


def test_segmenters_are_compared_on_real_data_alone(tmp_path):
    sam, unet = standings(two_segmenters(tmp_path), TWO.segmenters)
    assert (sam.segmenter, sam.difference, sam.verdict) == ("sam", None, None)
    assert (sam.score.mean, unet.score.mean) == (pytest.approx(0.7), pytest.approx(0.8))
    assert unet.difference.mean == pytest.approx(0.1)
    assert unet.verdict.word == "too few"


def test_a_verdict_between_models_is_worded_for_models(tmp_path):
    levels = {"sam": 0.7, "unet": 0.8}
    names = [f"p{i}" for i in range(6)]
    for name, r in product(levels, range(5)):
        rows = [row(one, levels[name] + 0.01 * i + 0.001 * r) for i, one in enumerate(names)]
        write_cells(tmp_path, {f"{name}-10-{r}-real": rows})
    scores = load(tmp_path, grid(segmenters=("sam", "unet"), replicates=range(5), arms=("real",)))
    assert standings(scores, ("sam", "unet"))[1].verdict.text == "better"
    assert standings(scores, ("unet", "sam"))[1].verdict.text == "worse"


def test_subgroups_are_means_of_their_own_cases(tmp_path):
    found = subgroups(two_segmenters(tmp_path))
    assert len(found) == 8, "two countries of two arms of two segmenters; a case of unknown country is in none"
    one, two = found[:2]
    assert (one.kind, one.value, one.segmenter, one.arm, one.score.n_cases) == ("country", "DZA", "sam", "real", 1)
    assert (one.score.mean, two.value, two.score.mean) == (pytest.approx(0.6), "ESP", pytest.approx(0.8))
    assert one.score.patients is None and found[2].difference.mean == pytest.approx(0.2)


def test_head_sizes_are_thirds_of_the_cohort_with_paired_gains(tmp_path):
    """Small heads gain ten points, the others nothing; a case without a known area is in no third."""
    areas = [0.05 + 0.01 * i for i in range(12)]
    real = [row(f"p{i}", 0.8, share=area) for i, area in enumerate(areas)] + [row("x", 0.1)]
    more = [row(f"p{i}", 0.9 if i < 4 else 0.8, share=area) for i, area in enumerate(areas)] + [row("x", 0.1)]
    write_cells(tmp_path, {"sam-10-0-real": real, "sam-10-0-synthetic": more})
    found = [one for one in subgroups(load(tmp_path, grid())) if one.arm == "synthetic"]
    assert [one.value.split()[0] for one in found] == ["small", "medium", "large"]
    assert [one.score.n_cases for one in found] == [4, 4, 4]
    assert [one.difference.mean for one in found] == pytest.approx([0.1, 0, 0])
    assert (found[0].difference.patients.low, found[0].difference.patients.high) == pytest.approx((0.1, 0.1))


def test_few_heads_have_no_thirds(tmp_path):
    write_cells(tmp_path, {"sam-10-0-real": [row(f"p{i}", 0.8, share=0.1 * i) for i in range(8)]})
    assert subgroups(load(tmp_path, ONE_CELL)) == []


def test_patients_are_resampled_alike_for_every_segmenter(tmp_path):
    rows = [row(f"p{i}", 0.5 + 0.017 * i) for i in range(20)]
    write_cells(tmp_path, {f"{name}-10-0-{arm}": rows for name in TWO.segmenters for arm in TWO.arms})
    results = summarised(load(tmp_path, TWO))
    assert len({one.score.patients for one in results}) == 1


def test_missing_cell_of_another_segmenter_is_named(tmp_path):
    two_segmenters(tmp_path)
    (tmp_path / "unet-10-0-real.csv").unlink()
    with pytest.raises(InputError, match=r"unet-10-0-real\.csv"):
        load(tmp_path, TWO)


def test_one_known_country_is_no_subgroup(tmp_path):
    write_cells(tmp_path, {"sam-10-0-real": [row("a", 0.8), row("b", 0.6)]})
    assert subgroups(load(tmp_path, ONE_CELL, [person("a", country="ESP")])) == []
