import base64
import csv
import io
import json
import re
import struct
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.data.structures import Structure
from pipeline.data.tables import read_table
from pipeline.data.writer import write_dataset
from pipeline.run.errors import InputError
from pipeline.tools import blind_reading
from pipeline.tools.blind_reading import Answer, make_reading, read_ballots, read_key, score_reading
from pipeline.tools.command import build_parser
from tests.browser_fixture import browser, complaints, download_into  # noqa: F401

ROOT = Path(__file__).parents[2]
COUNT = 12
STRUCTURES = (Structure("head", "head"),)
SETTLED_S = 0.26
"""The page takes no vote in the first quarter of a second of an image."""


@pytest.fixture(scope="module")
def sets(tmp_path_factory, ring):
    """A synthetic set of 32 pixels a side and a real cohort of twice that, in one format (3:4)."""
    folder = tmp_path_factory.mktemp("sets")
    small = [ring(i, id=f"sample-{i}", height=24, width=32) for i in range(10)]
    small = [replace(case, mask_source="parent", parent="case-000", seed=1, transform="{}") for case in small]
    write_dataset(folder / "synthetic", small, role="synthetic", structures=STRUCTURES, labels=["case-000"])
    splits = ["train"] * 4 + ["val"] * 4 + ["test"] * 4
    real = [ring(i, split=split) for i, split in enumerate(splits)]
    write_dataset(folder / "real", real, role="train", structures=STRUCTURES)
    return folder


@pytest.fixture(scope="module")
def reading(sets) -> Path:
    make_reading(sets / "synthetic", sets / "real", COUNT, 0, sets / "reading")
    return sets / "reading"


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


TRUTH = {1: "synthetic", 2: "real", 3: "synthetic", 4: "real"}
KEY = {i: Answer(reading="r1", image=i, case="x", truth=truth) for i, truth in TRUTH.items()}
HEADER = "reading,reader,image,vote,seconds"


def ballot(path: Path, *rows: str, header: str = HEADER) -> Path:
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return path


def test_votes_are_scored_and_unrated_images_left_out(tmp_path):
    ana = ballot(tmp_path / "a.csv", "r1,ana,1,4,2.0", "r1,ana,2,1,4.0", "r1,ana,3,2,9.0")
    bo = ballot(tmp_path / "b.csv", "r1,bo,1,3,1", "r1,bo,2,3,1", "r1,bo,3,4,1", "r1,bo,4,,0")
    scores = score_reading(KEY, read_ballots([ana, bo], KEY))
    first, second = scores["readers"]
    assert (first["reader"], first["n"], first["unrated"], first["median_seconds"]) == ("ana", 3, 1, 4.0)
    assert first["accuracy"] == second["accuracy"] == pytest.approx(2 / 3)
    assert (second["sensitivity"], second["specificity"]) == (1, 0)
    assert scores["pooled"]["n"] == 6
    assert scores["agreement"]["n"] == 3
    json.dumps(scores, allow_nan=False)


def test_a_file_that_a_spreadsheet_saved_is_read(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes(("\ufeff" + HEADER + "\r\n" + 'r1,"Ana, ""A""",1,4,2\r\n').encode())
    ((reader, votes),) = read_ballots([path], KEY).items()
    assert (reader, [(vote.image, vote.vote) for vote in votes]) == ('Ana, "A"', [(1, 4)])


@pytest.mark.parametrize(
    "rows, message",
    [
        (["r2,ana,1,4,2"], "votes of the reading 'r2', the key is of 'r1'"),
        (["r1,ana,5,4,2"], "image 5 is not among the 4 of the key"),
        (["r1,ana,one,4,2"], "row 1 below the header, column 'image' is 'one': Input should be a valid integer"),
        (["r1,ana,1,5,2"], "column 'vote' is '5': Input should be less than or equal to 4"),
        (["r1,ana,2,1,2", "r1,ana,1,2.5,2"], "row 2 below the header, column 'vote' is '2.5'"),
        (["r1,ana,1,4,2", "r1,ana,1,3,2"], "image 1 occurs twice"),
        (["r1,ana,1,4,2", "r1,bo,2,3,2"], "votes of 'ana' and of 'bo'"),
        (["r1,ana,1,4,soon"], "column 'seconds' is 'soon': Input should be a valid number"),
        (["r1,ana,1,4,nan"], "column 'seconds' is 'nan': Input should be a finite number"),
        (["r1,,1,4,2"], "column 'reader' is ''"),
        (["r1,ana,1,,0"], "no image is rated"),
        (["r1,ana,1"], "row 1 below the header has 3 fields, not 5"),
        ([], "no row below the header"),
    ],
)
def test_votes_that_cannot_be_counted_are_refused(tmp_path, rows, message):
    with pytest.raises(InputError, match=re.escape(message)) as error:
        read_ballots([ballot(tmp_path / "votes-x.csv", *rows)], KEY)
    assert "votes-x.csv" in str(error.value) and "\n" not in str(error.value)


def test_files_that_hold_no_votes_are_refused(tmp_path):
    with pytest.raises(InputError, match="lacks the column 'seconds'"):
        read_ballots([ballot(tmp_path / "a.csv", "r1,ana,1,4", header="reading,reader,image,vote")], KEY)
    (tmp_path / "empty.csv").touch()
    with pytest.raises(InputError, match=r"empty\.csv: the file is empty"):
        read_ballots([tmp_path / "empty.csv"], KEY)
    (tmp_path / "picture.csv").write_bytes(b"\x89PNG\xff\xfe")
    with pytest.raises(InputError, match="cannot be read as CSV"):
        read_ballots([tmp_path / "picture.csv"], KEY)
    with pytest.raises(InputError, match="no such file"):
        read_ballots([tmp_path / "none.csv"], KEY)


def test_a_reader_votes_once(tmp_path):
    paths = [ballot(tmp_path / f"{name}.csv", f"r1,{name},1,4,2") for name in ("ana", "Ana")]
    with pytest.raises(InputError, match=r"reader 'Ana' has voted in .*ana\.csv too"):
        read_ballots(paths, KEY)


@pytest.mark.parametrize(
    "rows, message",
    [
        (
            "r1,1,a,synthetic\nr1,2,b,fake\n",
            "row 2 below the header, column 'truth' is 'fake': Input should be 'real' or 'synthetic'",
        ),
        ("r1,1,a,synthetic\nr2,2,b,real\n", "answers of several readings"),
        ("r1,1,a,synthetic\nr1,1,b,real\n", "image 1 occurs twice"),
        ("r1,1,a,synthetic\n", "images of both kinds"),
    ],
)
def test_a_key_that_was_changed_is_refused(tmp_path, rows, message):
    (tmp_path / "key.csv").write_text("reading,image,case,truth\n" + rows)
    with pytest.raises(InputError, match=re.escape(message)):
        read_key(tmp_path / "key.csv")


def command(*arguments: object) -> subprocess.CompletedProcess:
    line = [sys.executable, "-m", "pipeline.tools.blind_reading", *map(str, arguments)]
    return subprocess.run(line, capture_output=True, text=True, cwd=ROOT)


def test_bad_votes_end_the_command_with_one_line_and_status_2(reading, tmp_path):
    votes = ballot(tmp_path / "a.csv", "r1,ana,1,4,2")
    result = command("score", "--key", reading / "key.csv", "--out", tmp_path / "scores.json", votes)
    assert result.returncode == 2
    assert result.stdout == "" and len(result.stderr.splitlines()) == 1
    assert not (tmp_path / "scores.json").exists()


def press(driven, key: str) -> None:
    if key.isdigit():
        time.sleep(SETTLED_S)
    driven.find_element("tag name", "body").send_keys(key)


def click(driven, selector: str) -> None:
    if "data-vote" in selector:
        time.sleep(SETTLED_S)
    driven.find_element("css selector", selector).click()


def text_of(driven, name: str) -> str:
    return driven.find_element("id", name).text


def pressed(driven) -> list[str]:
    chosen = driven.find_elements("css selector", "[data-vote][aria-pressed=true]")
    return [button.get_attribute("data-vote") for button in chosen]


def wait_for(path: Path, seconds: float = 10) -> Path:
    end = time.monotonic() + seconds
    while not path.exists() and time.monotonic() < end:
        time.sleep(0.05)
    return path


def reload(driven, rated: int) -> None:
    """Reload the page until it shows what was kept: the browser may write its store a moment later."""
    deadline = time.monotonic() + 10
    driven.refresh()
    while text_of(driven, "rated") != f"{rated} of {COUNT} rated":
        assert time.monotonic() < deadline, text_of(driven, "rated")
        time.sleep(0.2)
        driven.refresh()


def test_a_reader_votes_in_a_browser_and_is_scored_as_voted(browser, reading, tmp_path, capsys):  # noqa: F811
    """By keyboard and by click, back to change one, closed and opened again, saved, scored."""
    from selenium.webdriver.common.keys import Keys

    key = read_key(reading / "key.csv")
    download_into(browser, tmp_path)
    browser.get((reading / "reading.html").as_uri())
    assert text_of(browser, "caption") == f"Image 1 of {COUNT}"
    picture = browser.find_element("id", "image")
    assert browser.execute_script("return [arguments[0].naturalWidth, arguments[0].naturalHeight]", picture) == [32, 24]
    press(browser, Keys.ARROW_LEFT)
    assert text_of(browser, "caption") == f"Image 1 of {COUNT}"

    browser.find_element("id", "reader").send_keys("Ana 14")
    assert text_of(browser, "rated") == f"0 of {COUNT} rated"

    # All right but for images 2 and 5; the last is left for later.
    votes = {image: (4 if answer.truth == "synthetic" else 1) for image, answer in key.items()}
    votes[2], votes[5] = 5 - votes[2], (2 if key[5].truth == "synthetic" else 3)
    for image in range(1, COUNT):
        shown = 3 if image == 4 else votes[image]
        if image % 2:
            press(browser, str(shown))
        else:
            click(browser, f"[data-vote='{shown}']")
    assert text_of(browser, "rated") == f"{COUNT - 1} of {COUNT} rated"

    while text_of(browser, "caption") != f"Image 4 of {COUNT}":
        press(browser, Keys.ARROW_LEFT)
    assert pressed(browser) == ["3"]
    press(browser, str(votes[4]))
    assert text_of(browser, "caption") == f"Image 5 of {COUNT}"
    click(browser, "#back")
    assert pressed(browser) == [str(votes[4])]

    reload(browser, rated=COUNT - 1)
    assert text_of(browser, "caption") == f"Image 4 of {COUNT}"
    assert browser.find_element("id", "reader").get_attribute("value") == "Ana 14"
    assert pressed(browser) == [str(votes[4])]

    click(browser, "#save")
    assert text_of(browser, "message") == f"Image {COUNT} is unrated and will not count."
    assert text_of(browser, "save") == "Save anyway"
    click(browser, "#unrated")
    assert text_of(browser, "caption") == f"Image {COUNT} of {COUNT}"
    assert pressed(browser) == []
    press(browser, str(votes[COUNT]))
    assert text_of(browser, "message") == "All images are rated. Save your votes."

    click(browser, "#save")
    saved = wait_for(tmp_path / "votes-Ana-14.csv")
    rows = list(csv.DictReader(saved.open()))
    assert {int(row["image"]): int(row["vote"]) for row in rows} == votes
    assert all(0.2 < float(row["seconds"]) < 60 for row in rows)
    assert complaints(browser) == []

    arguments = ["score", "--key", str(reading / "key.csv"), "--out", str(tmp_path / "scores.json"), str(saved)]
    args = build_parser(blind_reading.add_arguments).parse_args(arguments)
    args.run(args)
    (scored,) = json.loads((tmp_path / "scores.json").read_text())["readers"]
    assert (scored["reader"], scored["n"], scored["unrated"]) == ("Ana 14", COUNT, 0)
    assert scored["accuracy"] == pytest.approx((COUNT - 2) / COUNT)
    assert "The reader told them apart: accuracy 83 %" in capsys.readouterr().out


def test_a_hasty_second_tap_rates_nothing_and_no_name_saves_nothing(browser, reading, tmp_path):  # noqa: F811
    download_into(browser, tmp_path)
    browser.get((reading / "reading.html").as_uri())
    click(browser, "#restart")
    browser.switch_to.alert.accept()
    click(browser, "#save")
    assert text_of(browser, "message") == "Write your name or initials first."
    time.sleep(SETTLED_S)
    browser.execute_script("for (const _ of [1, 2]) document.querySelector(\"[data-vote='4']\").click()")
    assert text_of(browser, "rated") == f"1 of {COUNT} rated"

    browser.find_element("id", "reader").send_keys('=1, "A"')
    assert text_of(browser, "rated") == f"1 of {COUNT} rated"
    click(browser, "#save")
    assert "11 images are unrated" in text_of(browser, "message")
    click(browser, "#save")
    saved = wait_for(tmp_path / "votes-1-A.csv")
    ((reader, votes),) = read_ballots([saved], read_key(reading / "key.csv")).items()
    assert (reader, [(vote.image, vote.vote) for vote in votes]) == ('=1, "A"', [(1, 4)])
    assert saved.read_text().splitlines()[1].split(",", 1)[1].startswith("\"'=1")

    click(browser, "#restart")
    browser.switch_to.alert.accept()
    assert text_of(browser, "rated") == f"0 of {COUNT} rated"
    reload(browser, rated=0)
    assert complaints(browser) == []


def test_a_page_that_was_opened_early_writes_nothing_old_over_newer_votes(browser, reading):  # noqa: F811
    """What a second page wrote is shown by the first, and stays when the first is left."""
    page = (reading / "reading.html").as_uri()
    browser.get(page)
    click(browser, "#restart")
    browser.switch_to.alert.accept()
    first = browser.current_window_handle
    for handle in ("idle", "voter"):
        browser.switch_to.new_window("tab")
        browser.get(page)
        if handle == "voter":
            click(browser, "[data-vote='1']")
            assert text_of(browser, "rated") == f"1 of {COUNT} rated"
        browser.close()
        browser.switch_to.window(first)
    deadline = time.monotonic() + 10
    while text_of(browser, "rated") != f"1 of {COUNT} rated":
        assert time.monotonic() < deadline, text_of(browser, "rated")
        time.sleep(0.05)
    reload(browser, rated=1)


def test_the_page_fits_a_phone(browser, reading):  # noqa: F811
    size = {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": True}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    try:
        browser.get((reading / "reading.html").as_uri())
        assert browser.execute_script("return document.documentElement.scrollWidth") <= 390
        bottoms = browser.execute_script(
            "return [...document.querySelectorAll('[data-vote]')].map((b) => b.getBoundingClientRect().bottom)"
        )
        assert max(bottoms) <= 844
        heights = browser.execute_script(
            "return [...document.querySelectorAll('button')].map((b) => b.getBoundingClientRect().height)"
        )
        assert min(heights) >= 44
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
