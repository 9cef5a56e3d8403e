"""Ages of cohorts: a table's own, those implied by HC, and tables that are wrong."""

from types import SimpleNamespace

import numpy as np
import pytest
from pydantic import ValidationError

from pipeline.cohorts import hc18
from pipeline.cohorts.ages import with_implied_age, with_implied_ages
from pipeline.cohorts.readers import entries
from pipeline.cohorts.source import Source
from pipeline.config.cohorts import Cohort
from pipeline.data.ages import FORMULAS, hadlock84_days, intergrowth21_days
from pipeline.data.case import Case
from pipeline.data.dataset import read_dataset, read_images
from pipeline.run.errors import InputError
from tests.cohorts import fabricated
from tests.cohorts.reading import read
from tests.cohorts.test_preparation import SPLITS, prepare, write

FORMULA = FORMULAS["intergrowth21"]


def folder(root, table: str):
    write(root, {name: number for number, name in enumerate("abc")})
    (root / "cases.csv").write_text(table)
    return root


def ages(cases) -> dict:
    return {case.id: (case.ga_days, case.ga_source) for case in cases}


def test_a_table_of_ages(tmp_path):
    raw = folder(tmp_path, "ID;GA days;ga_source\na;150,5;\nb;;\nc;98;simulated\n")
    assert ages(read("folder", raw)) == {"a": (150.5, "given"), "b": (None, None), "c": (98, "simulated")}
    assert set(ages(read("folder", raw, labelled=False, role="unlabelled")).values()) == {(None, None)}


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("id,ga_days\na,150\nb,150\nc,soon\n", "row 3 below the header, column 'ga_days' is 'soon'; it must be a"),
        ("id,ga_days\na,0\nb,150\nc,150\n", "row 1 .* column 'ga_days' is '0'"),
        ("id,ga_days\na,-3\nb,150\nc,150\n", "row 1 .* column 'ga_days' is '-3'"),
        ("id,ga_days\na,nan\nb,150\nc,150\n", "row 1 .* column 'ga_days' is 'nan'"),
        ("id,ga_days\na,150\nb,400\nc,150\n", "ga_days of case 'b' is 400, outside of 1 to 330 days; give days since"),
        ("id,ga_days\na,331\nb,0.5\nc,400\n", r"ga_days of case 'a' is 331, .* \(2 more cases: b, c\)"),
        ("id,ga_days\na,12.5\nb,39.1\nc,20\n", "no ga_days is above 39.1; give days, not weeks"),
        ("id,ga_days\na,150\nb,150\nc,150\nd,150\n", "row 'd' has no image"),
        ("id,ga_days\na,150\nb,150\n", "no row for image 'images/c.png'"),
        ("id,ga_days\na,150\nb,150\nc,150\nc,151\n", "row 'c' contradicts another row"),
        ("id,ga_days,ga_source\na,150,intergrowth21\nb,150,\nc,150,\n",
         "column 'ga_source' is 'intergrowth21'; it may be given or simulated. .*age_formula"),
        ("id,ga_days,ga_source\na,150,\nb,,given\nc,150,\n", "column 'ga_source' is 'given' without an age in ga_days"),
        ("id,hc_mm\na,17\nb,25.5\nc,34\n", "no hc_mm is above 34; give mm, not cm or m"),
        ("id,hc_mm\na,0.17\nb,0.255\nc,\n", "no hc_mm is above 0.255; give mm, not cm or m"),
        ("id,pixel_mm\na,0\nb,0.1\nc,0.1\n", "row 1 .* column 'pixel_mm' is '0'; it must be a number above 0"),
    ],
)  # fmt: skip
def test_bad_tables(tmp_path, table, message):
    with pytest.raises(InputError, match=rf"cohort 'mine': file 'cases\.csv'.*{message}"):
        list(read("folder", folder(tmp_path, table)))


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("id,hc_mm\na,170\nb,2000\nc,17\n", r"case 'b': published circumference .* is 2e\+03 mm.*\(1 more.*: c"),
        # The ages of other cases: a head of 10 weeks' size at term.
        ("id,hc_mm,ga_days\na,70,280\nb,170,140\nc,340,275\n",
         "case 'a': published circumference against that of its age .*70 against 346.* at 280 days"),
    ],
)  # fmt: skip
def test_implausible_cases_are_named(tmp_path, table, message):
    with pytest.raises(InputError, match=message):
        list(read("folder", folder(tmp_path, table)))


def test_ages_of_other_cases_are_warned_of(tmp_path):
    """The rows shifted by one: a warning for each that is a fifth off."""
    raw = folder(tmp_path / "raw", "id,hc_mm,ga_days\na,170,180\nb,235,210\nc,285,140\n")
    told = prepare(raw, tmp_path / "out").source["warnings"]
    assert [one["case"] for one in told if "against that of its age" in one["text"]] == ["a", "c"]


def test_an_implied_age_never_replaces_a_known_one(tmp_path, caplog):
    raw = folder(tmp_path / "raw", "id,hc_mm,ga_days\na,170.2,\nb,170.2,150\nc,,\n")
    data = prepare(raw, tmp_path / "out", age_formula="intergrowth21")
    assert ages(data.cases) == {
        "a": (pytest.approx(138.7665, abs=5e-5), "intergrowth21"),
        "b": (150, "given"),
        "c": (None, None),
    }
    assert data.source["ages"] == {"given": 1, "intergrowth21": 1}
    assert data.source["remarks"] == [
        "1 of 3 ages are implied by HC through intergrowth21, not known",
        "1 of 3 cases have no age, known or implied by HC: c",
    ]
    assert all(f"cohort 'mine': {one}" in caplog.text for one in data.source["remarks"])
    assert (
        "- Ages: 1 given with the cohort; 1 implied by HC (intergrowth21).\n"
        in (tmp_path / "out/README.md").read_text()
    )
    assert data.provenance | {"age_formula": "intergrowth21"} == data.provenance


def test_without_a_formula_no_age_is_implied(tmp_path):
    data = prepare(folder(tmp_path / "raw", "id,hc_mm\na,170.2\nb,180\nc,190\n"), tmp_path / "out")
    assert set(ages(data.cases).values()) == {(None, None)}
    assert (data.source["ages"], data.source["remarks"]) == ({}, [])
    assert "Ages" not in (tmp_path / "out/README.md").read_text()


def test_a_cohort_in_the_format_of_hc18(tmp_path, caplog):
    """The columns survive, outside the range every case is marked, and images alone come without ages."""
    raw = fabricated.hc18(tmp_path / "raw", 20, size=(270, 400))
    data = prepare(
        raw, tmp_path / "out", reader="hc18", role="train", splits=SPLITS, age_formula="hadlock84", name="small"
    )
    assert len(data.cases) == 20
    for case in data.cases:
        assert case.ga_days == pytest.approx(float(hadlock84_days(case.hc_mm)), abs=1e-12)
        assert case.ga_source == ("hadlock84_outside_range" if case.hc_mm < 89.37 else "hadlock84")
    outside = [case.id for case in data.cases if case.hc_mm < 89.37]
    assert 5 < len(outside) < 15
    assert data.source["ages"] == {"hadlock84": 20 - len(outside), "hadlock84_outside_range": len(outside)}
    assert {(image.ga_days, image.ga_source) for image in read_images(tmp_path / "out")} == {(None, None)}
    again = read_dataset(tmp_path / "out").cases
    assert ages(again) == ages(data.cases)
    assert (
        f"cohort 'small': {len(outside)} of 20 ages are extrapolated (ga_source hadlock84_outside_range), HC is "
        f"outside of 89.4 to 357.7 mm: {', '.join(outside[:5])} ..."
    ) in caplog.text


def image_case(name: str, **fields) -> Case:
    return Case(name, "c", name, np.zeros((2, 2), np.uint8), None, **fields)


def test_a_circumference_of_no_fetus_implies_no_age():
    """From 383 mm on INTERGROWTH-21st would say more than 330 days."""
    told: list[str] = []
    first, second = with_implied_ages([image_case("x", hc_mm=390.0), image_case("y", hc_mm=380.0)], FORMULA, told)
    assert (first.ga_days, first.ga_source) == (None, None)
    assert second.ga_source == "intergrowth21_outside_range" and 320 < second.ga_days < 330
    assert told[-1] == "1 of 2 cases have no age, known or implied by HC: x"


def test_a_formula_that_applies_to_no_case_is_refused():
    with pytest.raises(InputError, match="age_formula: no case has a circumference"):
        list(with_implied_ages([image_case("x"), image_case("y")], FORMULA, []))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"reader": "fetal_planes"}, "reader 'fetal_planes' knows no circumferences"),
        ({"reader": "psfhs"}, "reader 'psfhs' knows no circumferences"),
        ({"role": "unlabelled", "labelled": False}, "role 'unlabelled' no measurement is kept"),
        ({"age_formula": "robinson"}, "'intergrowth21' or 'hadlock84'"),
    ],
)
def test_where_no_age_can_be_implied_a_formula_is_refused(settings, message):
    values = {"role": "held_out", "reader": "hc18", "raw": "x", "labelled": True, "age_formula": "hadlock84"}
    with pytest.raises(ValidationError, match=message):
        Cohort.model_validate(values | settings)


@pytest.mark.parametrize(("name", "outside"), [("intergrowth21", 78), ("hadlock84", 71)])
def test_every_case_of_hc18_has_an_age_implied_by_hc(shared_data, name, outside):
    """Of the 400 shared cases 78 (71) are smaller than any fetus that the formula was fitted to."""
    with Source(shared_data / "hc18") as source:
        found, _ = entries(source, hc18, labelled=True)
    cases = [SimpleNamespace(**one.fields) for one in found]
    aged = [with_implied_age(image_case("x", hc_mm=one.hc_mm), FORMULAS[name]) for one in cases]
    assert len(aged) == 400 and all(50 < one.ga_days < 280 for one in aged)
    marked = [one.hc_mm for one in aged if one.ga_source == f"{name}_outside_range"]
    assert len(marked) == outside and max(marked) < FORMULAS[name].range_mm[0]
    assert {one.ga_source for one in aged} == {name, f"{name}_outside_range"}


def test_formulas_by_the_names_of_the_parameter():
    assert FORMULAS["intergrowth21"].days is intergrowth21_days and FORMULAS["hadlock84"].days is hadlock84_days
    assert set(FORMULAS) == {"intergrowth21", "hadlock84"}
