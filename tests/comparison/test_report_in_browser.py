"""The report as Chromium shows it: no complaint, the explorer works, narrow screens and paper too."""

import base64
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.browser_fixture import browser, complaints  # noqa: F401

CONTRAST = Path(__file__).with_name("contrast.js")


@pytest.fixture(scope="module")
def page(large, large_html):
    return large.root / "out/report.html"


@pytest.fixture
def opened(browser, page):  # noqa: F811
    browser.set_window_size(1280, 900)
    browser.get(page.as_uri())
    yield browser
    assert complaints(browser) == []


def choose(driven, select, value):
    from selenium.webdriver.support.ui import Select

    Select(driven.find_element("id", select)).select_by_value(value)


def cards(driven):
    return [one.text for one in driven.find_elements("css selector", "#ex-cases figure figcaption")]


def test_it_opens_without_a_complaint_and_every_link_leads_somewhere(opened):
    assert opened.find_element("css selector", ".answer").text == "Too few replicates to say."
    targets = [one.get_attribute("href").split("#")[1] for one in opened.find_elements("css selector", "nav a")]
    assert len(targets) >= 9 and all(opened.find_elements("id", target) for target in targets)


def test_the_explorer_sorts_and_shows_what_is_chosen(opened):
    assert (
        "7 of 7 cases; with synthetic, 7 are better and 0 worse than with real."
        in opened.find_element("id", "ex-status").text
    )
    assert len(cards(opened)) == 7
    choose(opened, "ex-sort", "worst")
    assert "b-0" in cards(opened)[0] and "Dice 80.0 → 85.0 %" in cards(opened)[0]
    choose(opened, "ex-sort", "best")
    assert "b-6" in cards(opened)[0]
    choose(opened, "ex-arm", "shuffled")
    choose(opened, "ex-sort", "loss")
    assert "mean change −19" in cards(opened)[0]
    choose(opened, "ex-cohort", "phantom_a")
    assert opened.find_element("id", "ex-status").text.startswith("6 of 6 cases")
    # The choice of arm outlives another cohort, and models are named.
    assert "shuffled" in opened.find_element("id", "ex-status").text
    views = opened.find_elements("css selector", "#ex-view option")
    assert [one.text for one in views] == ["sam, 4 labels", "sam, 6 labels", "unet, 4 labels", "unet, 6 labels"]


def test_outlines_are_drawn_and_can_be_hidden(opened):
    def drawn(name):
        return len(opened.find_elements("css selector", f"#ex-cases path.{name}"))

    assert (drawn("truth"), drawn("base"), drawn("own")) == (7, 7, 7)
    opened.find_element("id", "ex-base").click()
    assert (drawn("truth"), drawn("base"), drawn("own")) == (7, 0, 7)


def test_it_can_be_used_with_the_keyboard_alone(opened):
    from selenium.webdriver.common.keys import Keys

    opened.execute_script("document.getElementById('ex-cohort').focus()")
    order = []
    for _ in range(6):
        opened.switch_to.active_element.send_keys(Keys.TAB)
        order.append(opened.switch_to.active_element.get_attribute("id"))
    assert order == ["ex-view", "ex-arm", "ex-sort", "ex-truth", "ex-base", "ex-own"]
    opened.switch_to.active_element.send_keys(Keys.SPACE)
    assert not opened.find_elements("css selector", "#ex-cases path.own")


def test_every_control_and_picture_has_a_name_and_text_has_contrast(opened):
    nameless = opened.execute_script(
        "return [...document.querySelectorAll('select, input')].filter((n) => !n.labels.length).length"
        " + [...document.querySelectorAll('svg, [role=img]')].filter((n) => !n.getAttribute('aria-label')).length"
        " + [...document.querySelectorAll('img')].filter((n) => !n.alt).length"
    )
    assert nameless == 0
    assert opened.execute_script(CONTRAST.read_text()) == []


def test_it_fits_a_phone(opened):
    opened.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride", {"width": 390, "height": 844, "deviceScaleFactor": 2, "mobile": True}
    )
    try:
        assert opened.execute_script("return document.documentElement.scrollWidth") <= 390
        assert len(cards(opened)) == 7
    finally:
        opened.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_it_prints(opened):
    pdf = base64.b64decode(opened.execute_cdp_cmd("Page.printToPDF", {"printBackground": True})["data"])
    assert pdf.startswith(b"%PDF") and len(pdf) > 20_000
    opened.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    try:
        assert opened.find_element("id", "ex-cases").is_displayed()
        assert not opened.find_element("id", "ex-more").is_displayed()
        assert opened.find_element("css selector", ".answer").is_displayed()
    finally:
        opened.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})


def test_a_screenshot_shows_pictures_with_outlines(opened):
    opened.execute_script("document.getElementById('ex-cases').scrollIntoView()")
    shot = np.asarray(Image.open(io.BytesIO(opened.get_screenshot_as_png())).convert("RGB")).astype(int)
    for colour in ((255, 196, 0), (25, 211, 255)):
        assert (np.abs(shot - colour).sum(axis=2) < 40).sum() > 50, f"no outline of colour {colour} in sight"


def test_the_angle_of_progression_is_drawn_and_can_be_hidden(browser, pair, pair_html):  # noqa: F811
    browser.set_window_size(1280, 900)
    browser.get((pair.root / "out/report.html").as_uri())

    def drawn(name):
        return len(browser.find_elements("css selector", f"#ex-cases path.{name}-angle"))

    # In one case the baseline has no symphysis.
    assert (drawn("truth"), drawn("base"), drawn("own")) == (6, 5, 6)
    choose(browser, "ex-sort", "base")
    assert "AoP error 180.0 → " in cards(browser)[0] and "not measured: no symphysis (real)" in cards(browser)[0]
    browser.find_element("id", "ex-base").click()
    assert (drawn("truth"), drawn("base"), drawn("own")) == (6, 0, 6)
    browser.find_element("id", "ex-angle").click()
    assert (drawn("truth"), drawn("base"), drawn("own")) == (0, 0, 0)
    assert browser.find_elements("css selector", "#ex-cases path.truth")
    assert browser.execute_script(CONTRAST.read_text()) == []
    assert browser.execute_script("return document.documentElement.scrollWidth") <= 1280
    assert complaints(browser) == []
