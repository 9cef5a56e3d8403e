"""The one door: names and checks."""

import numpy as np
import pytest
from PIL import Image

from pipeline.cohorts.readers import READERS, class_lookup
from pipeline.run.errors import InputError
from tests.cohorts.reading import HEAD, TWO, read

ONE_OF_TWO = {"structures": {"pubic_symphysis": None, "fetal_head": "head"}}
FIT = {key: {} for key in READERS} | {"psfhs": ONE_OF_TWO, "fh_ps_aop": ONE_OF_TWO}


def write(root, names):
    (root / "images").mkdir(parents=True)
    for i, name in enumerate(names):
        noise = np.random.default_rng(i).integers(0, 256, (8, 8), dtype=np.uint8)
        Image.fromarray(noise).save(root / "images" / f"{name}.png")
    return root


def test_cases_carry_the_cohort_and_the_default_split(tmp_path):
    cases = read("folder", write(tmp_path / "raw", ["a", "b"]), labelled=False)
    assert [(item.cohort, item.split) for item in cases] == [("mine", "test")] * 2


FOUR = ("background", "pubic_symphysis", "fetal_head", "speckle")
MAPPED = {"pubic_symphysis": "symphysis", "fetal_head": "head", "speckle": None}


@pytest.mark.parametrize(
    ("classes", "mapping", "task", "expected"),
    [
        (("background", "head"), {}, HEAD, [0, 1]),
        (("background", "head", "symphysis"), {}, TWO, [0, 2, 1]),
        (FOUR, MAPPED, TWO, [0, 1, 2, 0]),
        (FOUR, {"pubic_symphysis": None, "fetal_head": "head", "speckle": None}, HEAD, [0, 0, 1, 0]),
        (("background", "brain", "ventricle"), {"brain": "head", "ventricle": "head"}, HEAD, [0, 1, 1]),
        (("background", "head", "skull"), {"head": None, "skull": "head"}, HEAD, [0, 0, 1]),
    ],
)
def test_classes_become_structures(classes, mapping, task, expected):
    assert class_lookup("mine", classes, mapping, task).tolist() == expected


@pytest.mark.parametrize(
    ("classes", "mapping", "task", "message"),
    [
        (
            FOUR,
            {},
            TWO,
            "class 'pubic_symphysis' goes to 'pubic_symphysis', .* not among .*symphysis, head.*null",
        ),
        (FOUR, MAPPED | {"fetal_head": "skull"}, TWO, "class 'fetal_head' goes to 'skull'"),
        (FOUR, MAPPED | {"symphysis": "head"}, TWO, "'symphysis' is no class of the cohort, which has pubic_symphysis"),
        (("background", "head"), {"background": "head"}, HEAD, "'background' is no class of the cohort"),
        (("background", "head"), {}, TWO, r"no class of the cohort \(head\) is the structure 'symphysis'; map one"),
    ],
)
def test_classes_without_structure_and_the_reverse_are_refused(classes, mapping, task, message):
    with pytest.raises(InputError, match=f"key 'cohorts.mine.structures': .*{message}"):
        class_lookup("mine", classes, mapping, task)


def test_masks_hold_the_structures_of_the_task(tmp_path):
    root = write(tmp_path / "raw", ["a", "b"])
    (root / "masks").mkdir()
    for name, row in (("a", [0, 1, 2, 3]), ("b", [0, 3, 3, 3])):
        Image.fromarray(np.tile(np.array(row * 2, np.uint8), (8, 1))).save(root / "masks" / f"{name}.png")
    cases = read("folder", root, task=TWO, classes=FOUR, structures=MAPPED)
    np.testing.assert_array_equal(next(cases).mask[0], [0, 1, 2, 0, 0, 1, 2, 0])
    with pytest.raises(InputError, match="cohort 'mine': case 'b': its mask holds none of the task's structures"):
        next(cases)


def test_of_an_unlabelled_cohort_no_mask_is_opened(tmp_path):
    root = write(tmp_path / "raw", ["a"])
    (root / "masks").mkdir()
    (root / "masks" / "a.png").write_bytes(b"no image")
    (root / "cases.csv").write_text("id,pixel_mm,hc_mm,aop_deg,hsd_mm,ga_days,device\na,0.1,200,120,9,150,scanner\n")
    (item,) = read("folder", root, labelled=False, role="unlabelled")
    assert (item.mask, item.mask_source, item.hc_mm, item.split) == (None, None, None, "train")
    assert (item.aop_deg, item.hsd_mm, item.ga_days, item.ga_source) == (None, None, None, None)
    assert (item.pixel_mm, item.device) == (0.1, "scanner")
    with pytest.raises(InputError, match="not a readable image"):
        list(read("folder", root, labelled=False, role="foreign"))


@pytest.mark.parametrize("reader", sorted(READERS))
def test_missing_folder_names_cohort_and_remedy(tmp_path, reader):
    cases = read(reader, tmp_path / "nowhere", **FIT[reader])
    with pytest.raises(InputError, match="cohort 'mine': raw data '.*nowhere' are missing; run 'dvc pull'"):
        list(cases)


@pytest.mark.parametrize("reader", sorted(READERS))
def test_folder_of_something_else(tmp_path, reader):
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "notes.txt").write_text("x")
    cases = read(reader, tmp_path / "raw", labelled=False, **FIT[reader])
    with pytest.raises(InputError, match="cohort 'mine': no images found"):
        list(cases)


def test_name_that_is_not_path_safe(tmp_path):
    cases = read("folder", write(tmp_path / "raw", ["my scan"]), labelled=False)
    with pytest.raises(InputError, match="case 'my scan': the id may hold"):
        list(cases)
