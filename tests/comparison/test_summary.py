import math
from itertools import product
from types import SimpleNamespace

import pytest

from pipeline.comparison.exports import long_table, metrics
from pipeline.comparison.scores import load_scores
from pipeline.comparison.statistics.standings import between_segmenters
from pipeline.comparison.statistics.subgroups import by_subgroup
from pipeline.comparison.statistics.summary import patients_of, summarise
from pipeline.comparison.synthetic import Quality, Shape
from pipeline.quality.measures import Measure
from pipeline.run.errors import InputError
from tests.comparison.cells import ARMS, row, write_cells

GRID = SimpleNamespace(segmenters=("sam",), labels=(10,), replicates=(0, 3), arms=("real", "synthetic"))
ONE_CELL = SimpleNamespace(segmenters=("sam",), labels=(10,), replicates=(0,), arms=("real",))


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


def results_of(folder, grid=GRID, cohorts=("far",)):
    return summarised(load_scores(folder, grid, cohorts))


def summarised(scores):
    return summarise(scores, ARMS, "real", ["far"], patients_of(scores, 200, 0))


def standings(scores, segmenters):
    return between_segmenters(scores, segmenters, "real", patients_of(scores, 100, 0))


def subgroups(scores):
    return by_subgroup(scores, list(ARMS), "real", 100, 0)


def test_known_means_and_paired_differences(folder):
    real, synthetic = results_of(folder)
    assert (real.arm, synthetic.arm) == ("real", "synthetic")
    assert real.dice.mean == pytest.approx(0.75)
    assert real.dice_of_replicates == pytest.approx([0.7, 0.8])
    assert (real.n_cases, real.dice.n_replicates, real.dice.n_patients) == (2, 2, 2)
    assert real.difference is None and real.verdict is None
    assert synthetic.difference.mean == pytest.approx(0.65 - 0.75)
    assert synthetic.difference.replicates.n == 2
    assert synthetic.verdict.text == "too few replicates to say: 2 of 5"


def test_missing_predictions_are_counted_and_scored(folder):
    synthetic = results_of(folder)[1]
    assert synthetic.missing == 1
    assert synthetic.structures[0].n_predictions == 4
    assert synthetic.dice.mean == pytest.approx((0.9 + 0.8 + 0.9 + 0.0) / 4)


def test_millimetres_are_means_of_the_cases_that_have_them(folder):
    part = results_of(folder)[0].structures[0]
    assert part.means["hd95_mm"] == pytest.approx(5.0)
    assert (part.n_mm, part.n_cases) == (1, 2)


def test_unknown_pixel_sizes_give_no_millimetres(tmp_path):
    write_cells(tmp_path, {"sam-10-0-real": [row("a", 0.5), row("b", 0.7)]})
    part = results_of(tmp_path, ONE_CELL)[0].structures[0]
    assert part.means["hd95_mm"] is None and part.n_mm == 0


def test_a_case_is_the_mean_of_its_structures(tmp_path):
    rows = [row("b", 0.4), row("b", 0.8, structure="neck"), row("a", 1.0)]
    write_cells(tmp_path, {"sam-10-0-real": rows})
    scores = load_scores(tmp_path, ONE_CELL, ["far"])
    own = scores["far", "sam", 10, "real"]
    assert own.case_ids == ["b", "a"]
    assert own.per_case("dice").tolist() == [[pytest.approx(0.6), 1.0]]
    (result,) = summarised(scores)
    assert [(part.structure, part.n_cases) for part in result.structures] == [("head", 2), ("neck", 1)]


def test_a_circumference_is_that_of_the_head_alone(tmp_path):
    symphysis = row("a", 0.5, structure="symphysis", mm=0.5) | {"hc_error_mm": None, "hc_error_percent": None}
    other = symphysis | {"id": "b", "patient": "b"}
    write_cells(tmp_path, {"sam-10-0-real": [symphysis, row("a", 0.9, mm=0.5), other]})
    (result,) = results_of(tmp_path, ONE_CELL)
    means = {part.structure: part.means["hc_error_percent"] for part in result.structures}
    assert means == {"symphysis": None, "head": 1.5}
    assert result.replicate_means["hc_error_percent"] == [1.5]
    assert result.replicate_means["dice"] == [pytest.approx((0.7 + 0.5) / 2)]
    assert metrics([result], [], [], [], [])["far"]["sam"]["n10"]["real"]["hc_error_percent"] == 1.5


def test_missing_cell_names_file_and_remedy(folder):
    (folder / "sam-10-3-synthetic.csv").unlink()
    with pytest.raises(InputError, match=r"sam-10-3-synthetic\.csv.*run the stage that makes it"):
        results_of(folder)


def test_cohort_without_cases_is_an_error(folder):
    with pytest.raises(InputError, match="no case of cohort 'near'"):
        results_of(folder, cohorts=("far", "near"))


def test_cells_that_score_other_cases_are_an_error(folder):
    write_cells(folder, {"sam-10-3-synthetic": [row("a", 0.9), row("c", 0.4)]})
    with pytest.raises(InputError, match="cannot be paired"):
        results_of(folder)


def test_metrics_are_small_nested_and_finite(folder):
    quality = [
        Quality(
            10, tuple(Measure("fidelity", "kid", "domain", value, 40, 0.01, "real", 0.9, "far") for value in (0.2, 0.4))
        ),
        Quality(10, (Measure("privacy", "training_distance", None, 0.8, 9, 1.0, "real", 0.0, "copies"),)),
    ]
    shapes = [
        Shape(10, structure, descriptor, (0.3, 0.1), (0.3, 0.1), distance, 0.1, 0.2, {}, 40)
        for structure, descriptor, distance in (
            ("head", "area", 0.2),
            ("neck", "area", 0.4),
            ("head", "angle", 0.5),
            ("neck", "angle", None),
            ("neck", "row", None),
        )
    ]
    tree = metrics(results_of(folder), quality, shapes, [], [])
    assert tree["far"]["sam"]["n10"]["real"] == {
        "dice": 0.75,
        "iou": pytest.approx(tree["far"]["sam"]["n10"]["real"]["iou"]),
        "hd95_px": 10.0,
        "hc_error_percent": 1.5,
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
    rows = long_table(results_of(folder), GRID.replicates, "real")
    assert [(one["arm"], one["ratio"], one["replicate"]) for one in rows] == [
        ("real", 0.0, 0),
        ("real", 0.0, 3),
        ("synthetic", 2.0, 0),
        ("synthetic", 2.0, 3),
    ]
    assert [one["dice"] for one in rows] == pytest.approx([0.7, 0.8, 0.85, 0.45])
    assert [one["dice_minus_baseline"] for one in rows] == pytest.approx([0, 0, 0.15, -0.35])
    assert all(math.isfinite(one["hd95_mm"]) for one in rows)


TWO = SimpleNamespace(segmenters=("sam", "unet"), labels=(10,), replicates=(0,), arms=("real", "synthetic"))


def two_segmenters(folder):
    write_cells(
        folder,
        {
            "sam-10-0-real": [row("a", 0.8, country="ESP"), row("b", 0.6, country="DZA"), row("c", 0.7)],
            "sam-10-0-synthetic": [row("a", 0.9), row("b", 0.8), row("c", 0.7)],
            "unet-10-0-real": [row("a", 0.9), row("b", 0.9), row("c", 0.6)],
            "unet-10-0-synthetic": [row("a", 0.8), row("b", 0.9), row("c", 0.6)],
        },
    )
    return load_scores(folder, TWO, ["far"])


def test_differences_are_taken_within_a_segmenter(tmp_path):
    results = summarised(two_segmenters(tmp_path))
    assert [(one.segmenter, one.arm) for one in results] == [
        ("sam", "real"), ("sam", "synthetic"), ("unet", "real"), ("unet", "synthetic")
    ]  # fmt: skip
    assert [one.difference and one.difference.mean for one in results] == [
        None, pytest.approx(0.1), None, pytest.approx(-0.1 / 3)
    ]  # fmt: skip
    tree = metrics(results, [], [], [], [])
    assert tree["far"]["unet"]["n10"]["synthetic"]["dice_minus_baseline"] == pytest.approx(-0.1 / 3, abs=1e-6)
    rows = long_table(results, (0,), "real")
    assert [one["segmenter"] for one in rows] == ["sam", "sam", "unet", "unet"]
    assert [one["dice_minus_baseline"] for one in rows] == pytest.approx([0, 0.1, 0, -0.1 / 3])


def test_segmenters_are_compared_on_real_data_alone(tmp_path):
    sam, unet = standings(two_segmenters(tmp_path), TWO.segmenters)
    assert (sam.segmenter, sam.difference, sam.verdict) == ("sam", None, None)
    assert (sam.dice.mean, unet.dice.mean) == (pytest.approx(0.7), pytest.approx(0.8))
    assert unet.difference.mean == pytest.approx(0.1)
    assert unet.verdict.word == "too few"


def test_a_verdict_between_models_is_worded_for_models(tmp_path):
    levels = {"sam": 0.7, "unet": 0.8}
    names = [f"p{i}" for i in range(6)]
    for name, r in product(levels, range(5)):
        rows = [row(one, levels[name] + 0.01 * i + 0.001 * r) for i, one in enumerate(names)]
        write_cells(tmp_path, {f"{name}-10-{r}-real": rows})
    grid = SimpleNamespace(segmenters=("sam", "unet"), labels=(10,), replicates=range(5), arms=("real",))
    scores = load_scores(tmp_path, grid, ["far"])
    assert standings(scores, ("sam", "unet"))[1].verdict.text == "better"
    assert standings(scores, ("unet", "sam"))[1].verdict.text == "worse"


def test_subgroups_are_means_of_their_own_cases(tmp_path):
    one, two, *others = subgroups(two_segmenters(tmp_path))
    assert others == [], "only one arm of one segmenter says which country its cases are from"
    assert (one.kind, one.value, one.segmenter, one.arm, one.n_cases) == ("country", "DZA", "sam", "real", 1)
    assert (one.dice, two.value, two.dice) == (pytest.approx(0.6), "ESP", pytest.approx(0.8))
    assert one.patients is None


def test_head_sizes_are_thirds_of_the_cohort_with_paired_gains(tmp_path):
    """Small heads gain ten points, the others nothing; a case without a known area is in no third."""
    areas = [0.05 + 0.01 * i for i in range(12)]
    real = [row(f"p{i}", 0.8, area=area) for i, area in enumerate(areas)] + [row("unknown", 0.1)]
    more = [row(f"p{i}", 0.9 if i < 4 else 0.8, area=area) for i, area in enumerate(areas)] + [row("unknown", 0.1)]
    write_cells(tmp_path, {"sam-10-0-real": real, "sam-10-0-synthetic": more})
    grid = SimpleNamespace(segmenters=("sam",), labels=(10,), replicates=(0,), arms=("real", "synthetic"))
    found = [one for one in subgroups(load_scores(tmp_path, grid, ["far"])) if one.arm == "synthetic"]
    assert [one.value.split()[0] for one in found] == ["small", "medium", "large"]
    assert [one.n_cases for one in found] == [4, 4, 4]
    assert [one.difference for one in found] == pytest.approx([0.1, 0, 0])
    assert (found[0].gain.low, found[0].gain.high) == pytest.approx((0.1, 0.1))


def test_few_heads_have_no_thirds(tmp_path):
    write_cells(tmp_path, {"sam-10-0-real": [row(f"p{i}", 0.8, area=0.1 * i) for i in range(8)]})
    assert subgroups(load_scores(tmp_path, ONE_CELL, ["far"])) == []


def test_patients_are_resampled_alike_for_every_segmenter(tmp_path):
    rows = [row(f"p{i}", 0.5 + 0.017 * i) for i in range(20)]
    write_cells(tmp_path, {f"{name}-10-0-{arm}": rows for name in TWO.segmenters for arm in TWO.arms})
    results = summarised(load_scores(tmp_path, TWO, ["far"]))
    assert len({one.dice.patients for one in results}) == 1


def test_missing_cell_of_another_segmenter_is_named(tmp_path):
    two_segmenters(tmp_path)
    (tmp_path / "unet-10-0-real.csv").unlink()
    with pytest.raises(InputError, match=r"unet-10-0-real\.csv"):
        load_scores(tmp_path, TWO, ["far"])


def test_tables_without_country_and_device_are_of_unknown_origin(tmp_path):
    known = row("a", 0.8)
    write_cells(
        tmp_path, {"sam-10-0-real": [{key: known[key] for key in known if key not in ("country", "device", "area")}]}
    )
    scores = load_scores(tmp_path, ONE_CELL, ["far"])
    assert scores["far", "sam", 10, "real"].case_groups("device") == [""]
    assert subgroups(scores) == []


def test_one_known_country_is_no_subgroup(tmp_path):
    write_cells(tmp_path, {"sam-10-0-real": [row("a", 0.8, country="ESP"), row("b", 0.6)]})
    assert subgroups(load_scores(tmp_path, ONE_CELL, ["far"])) == []
