"""The page of a blind reading in a browser: votes, keys, taps, an older page, a phone."""

# Fixtures are imported.
# ruff: noqa: F811

import csv
import json
import time
from pathlib import Path

import pytest

from pipeline.tools import blind_reading
from pipeline.tools.blind_reading import read_ballots, read_key
from pipeline.tools.command import build_parser
from tests.browser_fixture import browser, complaints, download_into  # noqa: F401
from tests.tools.reading import COUNT, reading, sets  # noqa: F401

SETTLED_S = 0.26
"""The page takes no vote in the first quarter of a second of an image."""


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


def test_a_reader_votes_in_a_browser_and_is_scored_as_voted(browser, reading, tmp_path, capsys):
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


def test_a_hasty_second_tap_rates_nothing_and_no_name_saves_nothing(browser, reading, tmp_path):
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


def test_a_page_that_was_opened_early_writes_nothing_old_over_newer_votes(browser, reading):
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


def test_the_page_fits_a_phone(browser, reading):
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
