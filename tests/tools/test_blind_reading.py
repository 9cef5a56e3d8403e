"""The page of a blind reading and its key."""

# Fixtures are imported.
# ruff: noqa: F811

import base64
import io
import json
import re
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.data.tables import read_table
from pipeline.data.writer import write_dataset
from pipeline.run.errors import InputError
from pipeline.tools.blind_reading import make_reading, read_key
from tests.tools.reading import COUNT, STRUCTURES, command, reading, sets  # noqa: F401


def page_images(reading: Path) -> list[bytes]:
    page = (reading / "reading.html").read_text()
    found = re.search(r'<script type="application/json" id="images">(.*?)</script>', page)[1]
    return [base64.b64decode(text) for text in json.loads(found)]


def pixels(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png)))


def test_half_of_the_images_are_real_ones_of_unseen_patients(reading):
    rows = read_table(reading / "key.csv")
    assert [row["image"] for row in rows] == [str(i) for i in range(1, COUNT + 1)]
    real = [row["case"] for row in rows if row["truth"] == "real"]
    assert len(real) == COUNT // 2
    assert all(int(name.removeprefix("case-")) >= 4 for name in real)
    assert all(row["case"].startswith("sample-") for row in rows if row["truth"] == "synthetic")
    assert len({row["case"] for row in rows}) == COUNT


def test_the_key_names_the_images_of_the_page(reading, ring):
    rows = read_table(reading / "key.csv")
    for row, png in zip(rows, page_images(reading), strict=True):
        if row["truth"] == "synthetic":
            expected = ring(int(row["case"].removeprefix("sample-")), height=24, width=32).image
            assert np.array_equal(pixels(png), expected)


def test_the_page_does_not_hold_the_truth(reading):
    page = (reading / "reading.html").read_text()
    shell = page.replace(re.search(r'id="images">(.*?)</script>', page)[1], "")
    for row in read_table(reading / "key.csv"):
        assert row["case"] not in page
    assert "seed" not in shell and "truth" not in shell
    assert str(reading.parent) not in page


def test_the_page_asks_the_network_for_nothing(reading):
    page = (reading / "reading.html").read_text()
    assert "://" not in page
    assert not re.search(r"""(src|href)=["'](?!data:)""", page)
    assert "default-src 'none'" in page


def test_real_and_synthetic_images_are_encoded_alike(reading):
    heads = set()
    for png in page_images(reading):
        chunks, at = [], 8
        while at < len(png):
            (length,), kind = struct.unpack(">I", png[at : at + 4]), png[at + 4 : at + 8]
            chunks.append(kind)
            at += length + 12
        # The header chunk holds size, depth and colour type.
        heads.add((png[16:29], tuple(chunks)))
    assert len(heads) == 1
    assert {pixels(png).shape for png in page_images(reading)} == {(24, 32)}


def test_equal_arguments_give_equal_bytes_and_another_seed_another_reading(sets, reading):
    make_reading(sets / "synthetic", sets / "real", COUNT, 0, sets / "again")
    make_reading(sets / "synthetic", sets / "real", COUNT, 1, sets / "other")
    for name in ("reading.html", "key.csv"):
        assert (sets / "again" / name).read_bytes() == (reading / name).read_bytes()
    ours, other = read_key(reading / "key.csv"), read_key(sets / "other/key.csv")
    assert ours[1].reading != other[1].reading
    assert [ours[i].truth for i in range(1, COUNT + 1)] != [other[i].truth for i in range(1, COUNT + 1)]


def test_borders_that_tell_the_kind_are_reported(sets, ring, caplog):
    square = [ring(i, id=f"s-{i}", height=32, width=32, parent="case-000") for i in range(6)]
    write_dataset(sets / "square", square, role="synthetic", structures=STRUCTURES, labels=["case-000"])
    make_reading(sets / "square", sets / "real", COUNT, 0, sets / "bordered")
    assert "12 of 12 images have a height and width that only their own kind has" in caplog.text


@pytest.mark.parametrize(
    "synthetic, real, count, message",
    [
        ("synthetic", "real", 18, "8 images in the splits val and test, 9 are needed; lower --count to 16"),
        ("synthetic", "real", 40, "synthetic: 10 images, 20 are needed; lower --count to 20 or less, or sample more"),
        ("synthetic", "real", 11, "--count is 11; it must be even"),
        ("synthetic", "real", 2, "from 10 to 1000"),
        ("real", "real", 12, "its role is 'train', not 'synthetic'"),
        ("synthetic", "synthetic", 12, "its role is 'synthetic', not 'train'"),
        ("synthetic", "nowhere", 12, "nowhere: not a dataset"),
    ],
)
def test_sets_that_cannot_be_read_blindly_are_refused(sets, tmp_path, synthetic, real, count, message):
    with pytest.raises(InputError, match=re.escape(message)):
        make_reading(sets / synthetic, sets / real, count, 0, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_reading_is_not_overwritten(sets, reading):
    result = command("make", "--synthetic", sets / "synthetic", "--real", sets / "real", "--out", reading)
    assert result.returncode == 2 and "exists and is not an empty folder" in result.stderr
