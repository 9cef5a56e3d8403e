"""PSFHS and the challenge's training set: two structures, no patient ids, and the forms in which users hold them."""

import zipfile

import numpy as np
import pytest
from PIL import Image

from pipeline.cohorts.readers import Account, read_cohort
from pipeline.config.cohorts import Cohort
from pipeline.data.structures import Structure
from pipeline.run.errors import InputError
from tests.cohorts.reading import TWO, read

BOTH = {"task": TWO, "structures": {"pubic_symphysis": "symphysis", "fetal_head": "head"}}


def save(path, array):
    import SimpleITK

    path.parent.mkdir(parents=True, exist_ok=True)
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(array), str(path))


def write(root, ids, channels=3, masks=True):
    label = np.zeros((16, 20), dtype=np.uint8)
    label[2:5, 3:9], label[8:14, 5:16] = 1, 2
    for i, name in enumerate(ids):
        image = np.random.default_rng(i).integers(0, 256, (16, 20), dtype=np.uint8)
        save(root / "image_mha" / f"{name}.mha", np.stack([image] * channels) if channels else image)
        if masks:
            save(root / "label_mha" / f"{name}.mha", label)
    return root


@pytest.mark.parametrize("channels", [0, 3])
def test_cases(tmp_path, channels):
    cases = list(read("psfhs", write(tmp_path / "raw", ["00002", "00010"], channels), **BOTH))
    assert [(case.id, case.patient) for case in cases] == [("00002", "00002"), ("00010", "00010")]
    for i, case in enumerate(cases):
        np.testing.assert_array_equal(case.image, np.random.default_rng(i).integers(0, 256, (16, 20), dtype=np.uint8))
        assert np.bincount(case.mask.ravel()).tolist() == [320 - 18 - 66, 18, 66]
        assert (case.pixel_mm, case.mask_source) == (None, "annotated")


def test_archive(tmp_path):
    folder = write(tmp_path / "folder", ["00002"])
    with zipfile.ZipFile(tmp_path / "PSFHS.zip", "w") as archive:
        for path in folder.rglob("*.mha"):
            archive.write(path, f"PSFHS/{path.parent.name}/{path.name}")
    (one,), (two,) = read("psfhs", folder, **BOTH), read("psfhs", tmp_path / "PSFHS.zip", **BOTH)
    np.testing.assert_array_equal(one.image, two.image)
    np.testing.assert_array_equal(one.mask, two.mask)


def test_unlabelled(tmp_path):
    root = write(tmp_path / "raw", ["00002"], masks=False)
    assert next(read("psfhs", root, labelled=False, **BOTH)).mask is None
    with pytest.raises(InputError, match=r"image 'image_mha/00002\.mha' has no mask"):
        list(read("psfhs", root, **BOTH))


BAD_MASKS = {
    "case '00002': mask holds values 0, 4, allowed are 0 to 2": (0, 4),
    r"mask 'label_mha/00002.mha' holds the value 3, .* overlap .* \(1 \+ 2\); .* store it as 1 or 2": (1, 3),
    r"mask 'label_mha/00002.mha' holds the value 15, .* \(7 \+ 8\)": (7, 15),
    "mask 'label_mha/00002.mha' holds values 0, 2, 7: 7 and 8 are": (7, 2),
    "case '00002': mask holds values 0, 255, allowed are 0 to 2": (0, 255),
    "case '00002': the mask is empty": (0, 0),
    r"mask 'label_mha/00002.mha' holds 32-bit values from 0 to 1.5": (0, 1.5),
}


@pytest.mark.parametrize("reader", ["psfhs", "fh_ps_aop"])
@pytest.mark.parametrize(("message", "values"), BAD_MASKS.items())
def test_bad_masks_are_named_with_what_to_do(tmp_path, reader, message, values):
    root, label = write(tmp_path / "raw", ["00001", "00002"]), np.zeros((16, 20))
    label[2:5, 3:9], label[8:14, 5:16] = values
    whole = all(float(value).is_integer() for value in values)
    save(root / "label_mha" / "00002.mha", label.astype(np.uint8 if whole else np.float32))
    with pytest.raises(InputError, match=message):
        list(read(reader, root, **BOTH))


def told(reader, root, **settings):
    """The cases of a cohort, and the account of reading it."""
    values = {"role": "foreign", "reader": reader, "raw": str(root), "labelled": True} | settings
    account, task = Account(), values.pop("task")
    return list(read_cohort("mine", Cohort.model_validate(values), task, root, account)), account


def test_seven_and_eight_of_the_iugc_data(tmp_path):
    root = write(tmp_path / "raw", [f"{i:05d}" for i in range(12)])
    ones, label = list(read("psfhs", root, **BOTH)), np.zeros((16, 20), np.uint8)
    label[2:5, 3:9], label[8:14, 5:16] = 7, 8
    for i in range(12):
        save(root / "label_mha" / f"{i:05d}.mha", label)
    cases, account = told("psfhs", root, **BOTH)
    for one, case in zip(ones, cases, strict=True):
        np.testing.assert_array_equal(one.mask, case.mask)
    text = "values 7 and 8, the IUGC data's, are read as pubic symphysis and fetal head (and so in 11 more cases)"
    assert text in [one["text"] for one in account.warnings() if one["case"] == "00000"]


@pytest.mark.parametrize("ending", [".mha", ".nii.gz", ".nrrd", ".png", ".tif"])
@pytest.mark.parametrize("side", [64, 512])
def test_formats_and_sizes_are_one_cohort(tmp_path, ending, side):
    root = write(tmp_path / "raw", ["00001"])
    image = np.random.default_rng(0).integers(0, 256, (side, side), dtype=np.uint8)
    mask = np.zeros((side, side), np.uint8)
    mask[: side // 4, : side // 3], mask[side // 2 :, side // 2 :] = 1, 2
    for folder, array in (("image_mha", image), ("label_mha", mask)):
        path = root / folder / f"00002{ending}"
        Image.fromarray(array).save(path) if ending in (".png", ".tif") else save(path, array)
    first, second = read("psfhs", root, **BOTH)
    assert first.image.shape == (16, 20)
    np.testing.assert_array_equal(second.image, image)
    np.testing.assert_array_equal(second.mask, mask)


def test_jpeg_masks_and_mixed_pairs_are_refused(tmp_path):
    root = write(tmp_path / "raw", ["00001"])
    Image.fromarray(np.full((16, 20), 200, np.uint8)).save(root / "label_mha" / "00001.png")
    with pytest.raises(InputError, match="'label_mha/00001.mha' and 'label_mha/00001.png' would both be case '00001'"):
        list(read("psfhs", root, **BOTH))
    (root / "label_mha" / "00001.png").unlink()
    (root / "label_mha" / "00001.mha").unlink()
    Image.fromarray(np.full((16, 20), 1, np.uint8)).save(root / "label_mha" / "00001.jpg")
    with pytest.raises(InputError, match="mask 'label_mha/00001.jpg' is a .*JPEG"):
        list(read("psfhs", root, **BOTH))


def test_a_mask_without_one_of_the_structures_is_read_and_told(tmp_path):
    root, label = write(tmp_path / "raw", ["00001", "00002"]), np.zeros((16, 20), np.uint8)
    label[8:14, 5:16] = 2
    save(root / "label_mha" / "00002.mha", label)
    cases, account = told("psfhs", root, **BOTH)
    assert np.unique(cases[1].mask).tolist() == [0, 2]
    assert ("00002", "its mask holds no symphysis") in account.notes and len(account.notes) == 1


def test_classes_named_like_the_structures_need_no_mapping(tmp_path):
    task = (Structure("fetal_head", "head"), Structure("pubic_symphysis", "symphysis"))
    (case,) = read("psfhs", write(tmp_path / "raw", ["00001"]), task=task)
    assert np.bincount(case.mask.ravel()).tolist() == [320 - 18 - 66, 66, 18]


def test_the_challenge_warns_of_what_it_shares_with_psfhs(tmp_path):
    root = write(tmp_path / "raw", ["1", "00002"])
    cases, account = told("fh_ps_aop", root, **BOTH)
    assert [(case.id, case.patient) for case in cases] == [("1", "00001"), ("00002", "00002")]
    (remark,) = account.remarks
    assert "257" in remark and "10969427" in remark and "neither of the two may train" in remark
    assert told("psfhs", root, **BOTH)[1].remarks == []


def test_other_values_are_declared_for_a_folder(tmp_path):
    """The IUGC data in folders of other names: reader ``folder``, classes by name and value."""
    label = np.zeros((16, 20), np.uint8)
    label[2:5, 3:9], label[8:14, 5:16], label[15] = 7, 8, 4
    for folder, array in (
        ("images", np.random.default_rng(0).integers(0, 256, (16, 20), dtype=np.uint8)),
        ("masks", label),
    ):
        (tmp_path / "raw" / folder).mkdir(parents=True)
        Image.fromarray(array).save(tmp_path / "raw" / folder / "a.png")
    classes = ("background", "pubic_symphysis", "fetal_head")
    declared = {"classes": (*classes, "cord"), "values": (0, 7, 8, 4)}
    mapped = BOTH["structures"] | {"cord": None}
    (case,) = read("folder", tmp_path / "raw", task=TWO, structures=mapped, **declared)
    assert np.bincount(case.mask.ravel()).tolist() == [320 - 18 - 66, 18, 66]
    with pytest.raises(InputError, match="mask 'masks/a.png' holds the value 4, declared under values are 0, 7, 8"):
        list(read("folder", tmp_path / "raw", classes=classes, values=(0, 7, 8), **BOTH))
    with pytest.raises(InputError, match="mask holds values 0, 4, 7, 8, allowed are 0 to 2; .* declare"):
        list(read("folder", tmp_path / "raw", classes=classes, **BOTH))


def test_truncated_file_is_named(tmp_path):
    path = write(tmp_path / "raw", ["00002"]) / "image_mha" / "00002.mha"
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(InputError, match=r"file 'image_mha/00002\.mha' is not a readable MetaImage"):
        list(read("psfhs", tmp_path / "raw", **BOTH))


def test_real_cohort(shared_data):
    cases = list(read("psfhs", shared_data / "psfhs", **BOTH))
    assert len(cases) == len({case.patient for case in cases}) >= 60
    assert {case.image.shape for case in cases} == {(256, 256)}
    assert all(set(np.unique(case.mask)) == {0, 1, 2} for case in cases)
    assert all((case.mask == 2).sum() > (case.mask == 1).sum() for case in cases)
