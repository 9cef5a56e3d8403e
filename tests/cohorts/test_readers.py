"""The one door: names, checks, one image never under two patients."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from pipeline.cohorts.readers import READERS, check_duplicates, read_cohort
from pipeline.data.case import Case
from pipeline.run.errors import InputError


def case(name, patient, seed=0):
    image = np.random.default_rng(seed).integers(0, 256, (8, 8), dtype=np.uint8)
    return Case(id=name, cohort="x", patient=patient, image=image, mask=None)


def write(root, names):
    (root / "images").mkdir(parents=True)
    for i, name in enumerate(names):
        noise = np.random.default_rng(i).integers(0, 256, (8, 8), dtype=np.uint8)
        Image.fromarray(noise).save(root / "images" / f"{name}.png")
    return root


def test_every_reader_names_the_background_first():
    assert set(READERS) == {"hc18", "fetal_planes", "psfhs", "folder"}
    assert all(module.CLASSES[0] == "background" for module in READERS.values())


def test_cases_carry_the_cohort_and_the_default_split(tmp_path):
    classes, cases = read_cohort("folder", write(tmp_path / "raw", ["a", "b"]), "mine", None, labelled=False)
    assert classes == ("background", "head")
    assert [(item.cohort, item.split) for item in cases] == [("mine", "test")] * 2


def test_classes_are_free_for_a_folder_only(tmp_path):
    root = write(tmp_path / "raw", ["a"])
    assert read_cohort("folder", root, "mine", ["background", "a", "b"], False)[0] == ("background", "a", "b")
    assert read_cohort("hc18", root, "mine", ["background", "head"], False)[0] == ("background", "head")
    with pytest.raises(InputError, match="reader 'hc18' has the fixed classes background, head"):
        read_cohort("hc18", root, "mine", ["background", "skull"], False)
    for wrong in (["background"], ["head", "head"]):
        with pytest.raises(InputError, match="classes of cohort 'mine'"):
            read_cohort("folder", root, "mine", wrong, False)


def test_unknown_reader(tmp_path):
    with pytest.raises(InputError, match="reader 'dicom' is unknown; choose one of hc18, fetal_planes, psfhs, folder"):
        read_cohort("dicom", tmp_path, "mine", None, True)


@pytest.mark.parametrize("reader", sorted(READERS))
def test_missing_folder_names_cohort_and_remedy(tmp_path, reader):
    _, cases = read_cohort(reader, tmp_path / "nowhere", "mine", None, True)
    with pytest.raises(InputError, match="cohort 'mine': raw data '.*nowhere' are missing; run 'dvc pull'"):
        list(cases)


@pytest.mark.parametrize("reader", sorted(READERS))
def test_folder_of_something_else(tmp_path, reader):
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "notes.txt").write_text("x")
    _, cases = read_cohort(reader, tmp_path / "raw", "mine", None, False)
    with pytest.raises(InputError, match="cohort 'mine': no images found"):
        list(cases)


def test_name_that_is_not_path_safe(tmp_path):
    _, cases = read_cohort("folder", write(tmp_path / "raw", ["my scan"]), "mine", None, False)
    with pytest.raises(InputError, match="case 'my scan': the id may hold"):
        list(cases)


def test_one_image_under_two_patients_is_refused(tmp_path):
    root = write(tmp_path / "raw", ["a", "b", "c"])
    # Other bytes, equal pixels: what counts is what a network would see.
    Image.open(root / "images" / "a.png").convert("RGB").save(root / "images" / "c.png")
    _, cases = read_cohort("folder", root, "mine", None, False)
    with pytest.raises(
        InputError, match="cohort 'mine': cases 'a' and 'c' are the same image but patients 'a' and 'c'"
    ):
        list(cases)


def test_equal_images_of_one_patient_pass():
    cases = [case("a", "p"), case("b", "p"), case("c", "q", seed=1)]
    assert [item.id for item in check_duplicates(cases)] == ["a", "b", "c"]


def test_duplicates_are_found_while_streaming():
    def endless():
        yield case("a", "p")
        yield replace(case("b", "q"))
        raise AssertionError("read on after the duplicate")

    with pytest.raises(InputError, match="cases 'a' and 'b'"):
        list(check_duplicates(endless()))
