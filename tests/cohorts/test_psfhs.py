"""PSFHS: MetaImage files, two structures, no patient ids."""

import zipfile

import numpy as np
import pytest

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


def test_label_outside_the_classes(tmp_path):
    root = write(tmp_path / "raw", ["00002"])
    save(root / "label_mha" / "00002.mha", np.full((16, 20), 3, dtype=np.uint8))
    cases = read("psfhs", root, **BOTH)
    with pytest.raises(InputError, match="case '00002': mask holds values 3, allowed are 0 to 2"):
        list(cases)


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
