"""A real browser for tests of pages: Chromium without a window, one for the whole run."""

import shutil
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def browser(tmp_path_factory):
    """A selenium driver of Chromium; skips where Chromium, its driver or selenium is absent."""
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if chromium is None or driver is None:
        pytest.skip("chromium or chromedriver is not installed")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for argument in (
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--no-first-run",
        f"--user-data-dir={tmp_path_factory.mktemp('chromium')}",
    ):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driven = webdriver.Chrome(options=options, service=webdriver.ChromeService(executable_path=driver))
    driven.set_window_size(1280, 900)
    yield driven
    driven.quit()


def download_into(driven, folder: Path) -> None:
    """Files the page saves from now on go to ``folder``, without a question."""
    driven.execute_cdp_cmd("Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(folder)})


def complaints(driven) -> list[str]:
    """What the console has said since the last call, as warnings or errors."""
    return [entry["message"] for entry in driven.get_log("browser") if entry["level"] in ("WARNING", "SEVERE")]
