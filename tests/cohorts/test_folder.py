"""A folder of one's own: images, masks, an optional table."""

import unicodedata

import numpy as np
import pytest
from PIL import Image

from pipeline.decoding.decode import class_indices
from pipeline.run.errors import InputError
from tests.cohorts.reading import HEAD, TWO, read

SHAPE = (12, 16)
THREE = ["background", "symphysis", "head"]


def write(root, ids, value=1, image_suffix=".png", mask_suffix=".png"):
    (root / "images").mkdir(parents=True)
    (root / "masks").mkdir()
    for i, name in enumerate(ids):
        image = np.random.default_rng(i).integers(0, 256, SHAPE, dtype=np.uint8)
        Image.fromarray(image).save(root / "images" / f"{name}{image_suffix}")
        mask = np.zeros(SHAPE, dtype=np.uint8)
        mask[3:9, 4:12] = value
        Image.fromarray(mask).save(root / "masks" / f"{name}{mask_suffix}")
    return root


def test_without_a_table_every_image_is_a_patient(tmp_path):
    cases = list(read("folder", write(tmp_path / "raw", ["a10", "a2"])))
    assert [(case.id, case.patient) for case in cases] == [("a2", "a2"), ("a10", "a10")]
    for case in cases:
        assert (case.pixel_mm, case.hc_mm, case.country, case.device) == (None, None, None, None)
        assert (case.mask_source, case.mask.sum()) == ("annotated", 48)


def test_table(tmp_path):
    root = write(tmp_path / "raw", ["a", "b"])
    (root / "cases.csv").write_text(
        "device,id,patient,pixel_mm,hc_mm,country\nscanner A,b,p1,1.25,,ESP\n,a,p1,,180.5,\n"
    )
    first, second = read("folder", root)
    assert (first.id, first.patient, first.pixel_mm, first.hc_mm) == ("a", "p1", None, 180.5)
    assert (first.country, first.device) == (None, None)
    assert (second.id, second.patient, second.pixel_mm, second.hc_mm) == ("b", "p1", 1.25, None)
    assert (second.country, second.device) == ("ESP", "scanner A")


def test_table_without_patients(tmp_path):
    root = write(tmp_path / "raw", ["a"])
    (root / "cases.csv").write_text("id,pixel_mm\na,1.2\n")
    (case,) = read("folder", root)
    assert (case.patient, case.pixel_mm) == ("a", 1.2)


@pytest.mark.parametrize("image_suffix", [".png", ".jpg", ".bmp", ".tif"])
@pytest.mark.parametrize("mask_suffix", [".png", ".bmp", ".tif"])
def test_formats(tmp_path, image_suffix, mask_suffix):
    (case,) = read("folder", write(tmp_path / "raw", ["a"], 2, image_suffix, mask_suffix), task=TWO)
    assert case.image.shape == SHAPE
    assert np.unique(case.mask).tolist() == [0, 2]


def test_black_and_white_mask_with_two_classes(tmp_path):
    (case,) = read("folder", write(tmp_path / "raw", ["a"], 255))
    assert np.bincount(case.mask.ravel()).tolist() == [144, 48]


@pytest.mark.parametrize(("value", "classes"), [(255, THREE), (254, None), (2, None), (4, THREE)])
def test_values_outside_the_classes(tmp_path, value, classes):
    cases = read("folder", write(tmp_path / "raw", ["a"], value), task=TWO if classes else HEAD, classes=classes)
    with pytest.raises(InputError, match=f"cohort 'mine': case 'a': mask holds values 0, {value}, allowed are"):
        list(cases)


def test_mask_with_grey_between_black_and_white_is_refused():
    mask = np.array([[0, 128, 255]], dtype=np.uint8)
    np.testing.assert_array_equal(class_indices(mask, 2), mask)


def test_mask_of_another_size(tmp_path):
    root = write(tmp_path / "raw", ["a"])
    Image.new("L", (9, 7), 1).save(root / "masks" / "a.png")
    cases = read("folder", root)
    with pytest.raises(InputError, match="case 'a': mask is 9x7 but its image is 16x12"):
        list(cases)


def test_image_without_mask(tmp_path):
    root = write(tmp_path / "raw", ["a", "b"])
    (root / "masks" / "b.png").unlink()
    with pytest.raises(InputError, match=r"image 'images/b\.png' has no mask"):
        list(read("folder", root))
    assert [case.mask_source for case in read("folder", root, labelled=False)] == ["annotated", None]


def test_mask_without_image(tmp_path):
    root = write(tmp_path / "raw", ["a", "b"])
    (root / "images" / "b.png").unlink()
    with pytest.raises(InputError, match=r"mask 'masks/b\.png' has no image 'b'"):
        list(read("folder", root))


def test_truncated_image(tmp_path):
    path = write(tmp_path / "raw", ["a"]) / "images" / "a.png"
    path.write_bytes(path.read_bytes()[:70])
    with pytest.raises(InputError, match=r"file 'images/a\.png' is not a readable image"):
        list(read("folder", tmp_path / "raw"))


def test_files_of_another_kind(tmp_path):
    root = write(tmp_path / "raw", ["a"])
    (root / "masks" / "a.png").rename(root / "masks" / "a.jpg")
    with pytest.raises(InputError, match=r"file 'masks/a\.jpg': masks/ may hold \.png, \.bmp, \.tif.* \(JPEG smears"):
        list(read("folder", root))


def test_any_depth_and_case(tmp_path):
    root = write(tmp_path / "raw", ["a", "b", "c"])
    (root / "images").rename(root / "Images")
    for name in ("Images/site 1/p1/a.png", "masks/deep/er/a.png"):
        (root / name).parent.mkdir(parents=True)
        (root / name.split("/")[0] / "a.png").rename(root / name)
    (root / "masks" / "b.png").rename(root / "masks" / "b.PNG")
    (root / "Images" / "c.png").rename(root / "Images" / "c.PNG")
    assert [(case.id, case.mask.sum()) for case in read("folder", root)] == [("a", 48), ("b", 48), ("c", 48)]


def test_two_images_of_one_name_are_refused(tmp_path):
    root = write(tmp_path / "raw", ["a", "b"])
    (root / "images" / "p2").mkdir()
    (root / "images" / "b.png").rename(root / "images" / "p2" / "a.png")
    with pytest.raises(InputError, match=r"files 'images/a\.png' and 'images/p2/a\.png' would both be case 'a'"):
        list(read("folder", root))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("cases.csv", "id,patient\na,p\nb,p\n"),
        ("Cases.CSV", "ID;Patient\r\na.png;p\r\nb.PNG;p\r\n;\r\n"),
        ("cases.tsv", "Patient\tid\np\timages/a.png\np\timages\\b.png\n"),
        ("more/cases.txt", "\ufeffid;patient;pixel_mm\na;p;1,25\nb;p;\n"),
    ],
)
def test_tables_as_people_have_them(tmp_path, name, text):
    root = write(tmp_path / "raw", ["a", "b"])
    (root / name).parent.mkdir(exist_ok=True)
    (root / name).write_text(text)
    first, second = read("folder", root)
    assert (first.patient, second.patient) == ("p", "p")
    assert first.pixel_mm == (1.25 if "pixel" in text else None)


@pytest.mark.parametrize("name", ["cases.xlsx", "cases.ods"])
def test_a_table_that_is_no_csv_is_refused(tmp_path, name):
    root = write(tmp_path / "raw", ["a"])
    (root / name).write_bytes(b"PK")
    with pytest.raises(
        InputError, match=f"file '{name}' describes the cases, but is a spreadsheet; save it as cases.csv"
    ):
        list(read("folder", root))


@pytest.mark.parametrize(
    ("image", "mask", "table"), [("NFC", "NFD", "NFD"), ("NFD", "NFC", "NFC"), ("NFD", "NFD", "NFC")]
)
def test_one_name_in_several_forms_of_unicode(tmp_path, image, mask, table):
    root = write(tmp_path / "raw", ["x"])
    (root / "images" / "x.png").rename(root / "images" / unicodedata.normalize(image, "Fötus-é.png"))
    (root / "masks" / "x.png").rename(root / "masks" / unicodedata.normalize(mask, "Fötus-é.png"))
    (root / "cases.csv").write_text(unicodedata.normalize(table, "id,patient\nFötus-é,p\n"))
    (case,) = read("folder", root)
    assert (case.id, case.patient) == (unicodedata.normalize("NFC", "Fötus-é"), "p")


def test_folder_without_images(tmp_path):
    (tmp_path / "notes.txt").write_text("empty")
    with pytest.raises(InputError, match="no images found"):
        list(read("folder", tmp_path))


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("name\na\n", "lacks the column 'id'"),
        ("id,pixelsize\na,1\nb,1\n", "unknown column 'pixelsize'; known are id, patient"),
        ("id\na\n", r"no row for image 'images/b\.png'"),
        ("id\na\nb\nc\n", "row 'c' has no image"),
        ("id,pixel_mm\na,1\nb,1\nb,2\n", "row 'b' contradicts another row"),
        ("id,patient\na,p\nb,\n", "row 2 below the header, column 'patient': the patient is empty"),
        ("id,pixel_mm\na,1\nb,wide\n", "row 2 below the header, column 'pixel_mm' is 'wide'"),
        ("id,hc_mm\na,1\nb,0\n", "row 2 below the header, column 'hc_mm' is '0'"),
    ],
)
def test_bad_tables(tmp_path, table, message):
    root = write(tmp_path / "raw", ["a", "b"])
    (root / "cases.csv").write_text(table)
    with pytest.raises(InputError, match=f"file 'cases.csv'.*{message}"):
        list(read("folder", root))
