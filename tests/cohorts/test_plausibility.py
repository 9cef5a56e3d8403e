"""Cases against what is known of ultrasound images and heads."""

from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
from PIL import Image

from pipeline.cohorts.bounds import BOUNDS
from pipeline.cohorts.plausibility import implausible
from pipeline.data.case import Case
from pipeline.run.errors import InputError
from tests.cohorts.reading import HEAD, TWO, read


def head(height=120, width=160, a=50, b=40, **fields) -> Case:
    rows, columns = np.indices((height, width))
    inside = ((columns - width / 2) / a) ** 2 + ((rows - height / 2) / b) ** 2 <= 1
    image = np.random.default_rng(0).integers(0, 256, (height, width), dtype=np.uint8)
    values = {"id": "x", "cohort": "c", "patient": "x", "mask_source": "annotated", "mask": inside.astype(np.uint8)}
    return Case(**(values | {"image": image} | fields))


AROUND = 283.6
"""Circumference in pixels of an ellipse with the semi-axes 50 and 40."""


@pytest.mark.parametrize(
    ("case", "found"),
    [
        (head(), {}),
        (head(pixel_mm=0.5, hc_mm=0.5 * AROUND), {}),
        (head(mask=None, mask_source=None), {}),
        (head(pixel_mm=0.004), {"pixel size": True, "measured circumference": True}),
        (head(pixel_mm=586.0), {"pixel size": True, "measured circumference": True}),
        (head(pixel_mm=1.2), {"pixel size": False}),
        (head(hc_mm=0.1419), {"published circumference": True}),
        (head(hc_mm=14.19), {"published circumference": True}),
        (head(hc_mm=28.0), {"published circumference": False}),
        (head(hc_mm=1419.0), {"published circumference": True}),
        (head(ga_days=150, ga_source="given"), {}),
        (head(ga_days=140, ga_source="given", hc_mm=170), {}),
        (head(ga_days=40, ga_source="given"), {"gestational age": False}),
        (head(ga_days=400, ga_source="given"), {"gestational age": True}),
        (head(ga_days=140, ga_source="given", hc_mm=220), {"published circumference against that of its age": False}),
        (head(ga_days=280, ga_source="given", hc_mm=170), {"published circumference against that of its age": True}),
        (head(ga_days=75.0, ga_source="hadlock84_outside_range", hc_mm=60), {}),
        (head(pixel_mm=0.5, hc_mm=0.97 * 0.5 * AROUND), {"measured circumference against the published one": False}),
        (head(pixel_mm=0.5, hc_mm=0.5 * AROUND / 0.88), {"measured circumference against the published one": True}),
        (head(pixel_mm=0.2, hc_mm=0.5 * AROUND), {"measured circumference against the published one": True}),
        (
            head(b=65, pixel_mm=0.5, hc_mm=210),
            {"measured circumference of a cut head against the published one": False},
        ),
        (head(b=65, pixel_mm=0.5, hc_mm=400), {"measured circumference of a cut head against the published one": True}),
        (head(pixel_mm=0.05), {"measured circumference": True}),
        (head(a=70, b=30), {"shorter axis of the head against the longer": False}),
        (head(a=70, b=5), {"shorter axis of the head against the longer": True}),
        (head(mask=np.ones((120, 160), np.uint8)), {"share of the image": True}),
        (head(a=90, b=75), {"share of the image": False}),
        (head(a=2, b=2), {"share of the image": False}),
        (head(height=7, a=4, b=3), {"shorter side": True, "longer side against the shorter": True}),
        (head(height=40, b=15, a=20), {"shorter side": False, "longer side against the shorter": False}),
        (head(image=np.full((120, 160), 9, np.uint8)), {"number of grey levels": True}),
        (head(image=np.eye(120, 160, dtype=np.uint8)), {"number of grey levels": False}),
    ],
)
def test_findings(case, found):
    assert {one.quantity: one.refused for one in implausible(case, HEAD)} == found


def test_a_squashed_image_that_kept_its_pixel_size():
    case = head(pixel_mm=0.5, hc_mm=0.5 * AROUND)
    small = [np.asarray(Image.fromarray(part).resize((80, 60), 0)) for part in (case.image, case.mask)]
    one, side = implausible(replace(case, image=small[0], mask=small[1]), HEAD)
    assert (one.refused, side.quantity) == (True, "shorter side")
    assert "(head, 70.95 against 141.8 mm) is -50 %, below -10; give the edge of a pixel" in one.text


def test_only_the_head_is_measured():
    mask = np.zeros((120, 160), np.uint8)
    mask[50:52, 20:140] = 1
    mask[60:100, 60:110] = 2
    case = head(mask=mask, pixel_mm=0.5)
    assert implausible(case, TWO) == []
    found = implausible(replace(case, mask=np.where(mask == 1, 2, mask // 2).astype(np.uint8)), TWO)
    assert {one.quantity for one in found} == {"shorter axis of the head against the longer"}


def test_every_bound_warns_no_later_than_it_refuses():
    for bound in BOUNDS.values():
        assert bound.refuse[0] <= bound.warn[0] < bound.warn[1] <= bound.refuse[1] and bound.remedy


def write(root, sizes):
    for folder in ("images", "masks"):
        (root / folder).mkdir(parents=True)
    for name in sizes:
        Image.fromarray(head().image).save(root / "images" / f"{name}.png")
        Image.fromarray(head().mask).save(root / "masks" / f"{name}.png")
    (root / "cases.csv").write_text("id,pixel_mm\n" + "".join(f"{name},{mm}\n" for name, mm in sizes.items()))
    return root


def test_all_implausible_cases_are_told_together(tmp_path):
    sizes = {"a": 0.5, "b": 586, "c": 0.4, "d": 100, "e": 101}
    with pytest.raises(InputError, match=r"case 'b': pixel size \(the image\) is 586 mm, above 2; .*2 more .*: d, e\)"):
        list(read("folder", write(tmp_path / "raw", sizes)))


@pytest.mark.parametrize(("table", "fine"), [(0.2, True), (0.2015, True), (0.1, False), (0.21, False)])
def test_the_table_against_the_file(tmp_path, monkeypatch, table, fine):
    from pipeline.cohorts import readers
    from pipeline.decoding.decode import Picture

    monkeypatch.setattr(readers, "decode_image", lambda data, name, window: Picture(head().image, 0.2))
    cases = read("folder", write(tmp_path / "raw", {"a": table}))
    if fine:
        assert [case.pixel_mm for case in cases] == [table]
    else:
        with pytest.raises(InputError, match=rf"'a': a pixel is 0\.2 mm by its file 'images/a\.png' and {table} mm by"):
            list(cases)


@pytest.mark.parametrize(
    ("reader", "settings"),
    [
        ("hc18", {}),
        ("fetal_planes", {"folder": "spanish"}),
        ("fetal_planes", {"folder": "african", "labelled": False}),
        ("psfhs", {"task": TWO, "structures": {"pubic_symphysis": "symphysis", "fetal_head": "head"}}),
    ],
)
def test_real_cohorts_are_plausible(shared_data, reader, settings):
    """The first 20; all of them in the slow test. No finding at all, refused or warned of."""
    root = shared_data / settings.pop("folder", reader)
    task = settings.get("task", HEAD)
    cases = list(islice(read(reader, root, **settings), 20))
    assert len(cases) == 20 and [one for case in cases for one in implausible(case, task)] == []
