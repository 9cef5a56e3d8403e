"""Spanish and African head planes: painted masks become one filled head, names become patients."""

import numpy as np
import pytest
from PIL import Image, ImageDraw

from pipeline.cohorts import fetal_planes
from pipeline.run.errors import InputError
from tests.cohorts.reading import read

SIZE = (96, 80)


def paint() -> Image.Image:
    """A red head with a green and a blue structure in it, and a hole."""
    image = Image.new("RGB", SIZE)
    draw = ImageDraw.Draw(image)
    draw.ellipse((15, 10, 80, 65), fill=(255, 0, 0))
    draw.rectangle((30, 30, 36, 33), fill=(0, 255, 0))
    draw.rectangle((50, 40, 60, 44), fill=(0, 0, 255))
    draw.rectangle((40, 20, 44, 24), fill=(0, 0, 0))
    return image


def whole() -> np.ndarray:
    image = Image.new("L", SIZE)
    ImageDraw.Draw(image).ellipse((15, 10, 80, 65), fill=1)
    return np.asarray(image)


def write(root, names, masks=True):
    for i, name in enumerate(names):
        (root / "images").mkdir(parents=True, exist_ok=True)
        noise = np.random.default_rng(i).integers(0, 256, SIZE[::-1], dtype=np.uint8)
        Image.fromarray(noise).convert("RGB").save(root / "images" / f"{name}.png")
        if masks:
            (root / "masks").mkdir(exist_ok=True)
            paint().save(root / "masks" / f"{name}.png")
    return root


def test_spanish_cases(tmp_path):
    names = ["Patient00002_Plane3_1_of_15", "Patient00002_Plane3_10_of_15", "Patient00002_Plane3_2_of_15"]
    cases = list(read("fetal_planes", write(tmp_path / "raw", names)))
    assert [case.id for case in cases] == [names[0], names[2], names[1]]
    assert {(case.patient, case.country, case.device) for case in cases} == {("Patient00002", "ESP", None)}
    for case in cases:
        assert case.image.shape == SIZE[::-1]
        np.testing.assert_array_equal(case.mask, whole())
        assert (case.mask_source, case.pixel_mm, case.hc_mm) == ("annotated", None, None)


def test_african_patients_are_told_apart_by_country(tmp_path):
    names = ["patient001_DZA_plane1", "patient001_EGY_plane1"]
    cases = list(read("fetal_planes", write(tmp_path / "raw", names, masks=False), labelled=False))
    assert [(case.patient, case.country) for case in cases] == [("DZA-patient001", "DZA"), ("EGY-patient001", "EGY")]
    assert {(case.mask, case.mask_source) for case in cases} == {(None, None)}


def test_other_planes_are_passed_over(tmp_path):
    names = [
        "Patient00002_Plane2_1_of_1",
        "Patient00002_Plane3_1_of_1",
        "patient001_EGY_plane0",
        "patient001_EGY_plane1",
    ]
    cases = list(read("fetal_planes", write(tmp_path / "raw", names, masks=False), labelled=False))
    assert [case.id for case in cases] == [names[1], names[3]]


def test_annotation_layout_of_the_publisher(tmp_path):
    root = write(tmp_path / "raw", ["Patient00002_Plane3_1_of_1"])
    (root / "images").rename(root / "Trans-ventricular")
    (root / "masks").rename(root / "SegmentationClass")
    assert next(read("fetal_planes", root)).mask.any()


def test_softened_colours_and_specks():
    exact = np.asarray(paint())
    small = paint().resize((48, 40), Image.Resampling.BILINEAR)
    soft = np.asarray(small.resize(SIZE, Image.Resampling.BILINEAR)).copy()
    soft[2:4, 2:4] = (255, 0, 0)
    assert set(np.unique(soft)) - {0, 255}
    np.testing.assert_array_equal(fetal_planes.head_from_colours(exact), whole())
    found = fetal_planes.head_from_colours(soft)
    assert not found[:6].any()
    assert 2 * (found & whole()).sum() / (found.sum() + whole().sum()) > 0.985


def test_structure_that_splits_the_brain_still_gives_one_head():
    image = np.zeros((40, 40, 3), dtype=np.uint8)
    image[10:30, 5:20, 0] = 255
    image[10:30, 20:23, 2] = 255
    image[10:30, 23:35, 0] = 255
    assert fetal_planes.head_from_colours(image).sum() == 20 * 30


def test_bad_input(tmp_path):
    root = write(tmp_path / "raw", ["Patient00002_Plane3_1_of_1", "Patient00003_Plane3_1_of_1"])
    (root / "masks" / "Patient00003_Plane3_1_of_1.png").unlink()
    with pytest.raises(InputError, match=r"image 'images/Patient00003_Plane3_1_of_1\.png' has no mask"):
        list(read("fetal_planes", root))
    assert [case.mask is None for case in read("fetal_planes", root, labelled=False)] == [False, True]
    paint().save(root / "masks" / "Patient00004_Plane3_1_of_1.png")
    with pytest.raises(InputError, match=r"mask 'masks/Patient00004_Plane3_1_of_1\.png' has no image"):
        list(read("fetal_planes", root, labelled=False))
    Image.new("L", SIZE).save(root / "images" / "scan7.png")
    with pytest.raises(InputError, match=r"file 'images/scan7\.png' is not named Patient.*'folder' reader"):
        list(read("fetal_planes", root))


def test_unpainted_mask_is_refused(tmp_path):
    root = write(tmp_path / "raw", ["Patient00002_Plane3_1_of_1"])
    Image.new("RGB", SIZE).save(root / "masks" / "Patient00002_Plane3_1_of_1.png")
    cases = read("fetal_planes", root)
    with pytest.raises(InputError, match="case 'Patient00002_Plane3_1_of_1': the mask is empty"):
        list(cases)


def test_real_spanish_cohort(shared_data):
    cases = list(read("fetal_planes", shared_data / "spanish"))
    assert (len(cases), len({case.patient for case in cases})) == (48, 38)
    assert {case.image.shape for case in cases} == {(661, 959)}
    assert all(0.2 < case.mask.mean() < 0.55 for case in cases)


def test_real_african_cohort(shared_data):
    cases = list(read("fetal_planes", shared_data / "african", labelled=False))
    assert (len(cases), len({case.patient for case in cases})) == (25, 25)
    assert {case.country for case in cases} == {"DZA", "EGY", "GHA", "MWI", "UGA"}
    assert all(case.mask is None for case in cases)
