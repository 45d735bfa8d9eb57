"""A headless browser without network."""

import contextlib
import json
import shutil

import pytest

FLAGS = [
    "headless",
    "no-sandbox",
    "disable-gpu",
    "disable-quic",
    "no-first-run",
    "disable-background-networking",
]
FLAGS += ["disable-component-update", "disable-sync", "window-size=1400,1000"]


@contextlib.contextmanager
def opened(folder):
    """Chromium; its profile and what it downloads lie in a folder."""
    from selenium import webdriver

    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not (chromium and driver):
        pytest.skip("needs chromium and chromium-driver (Debian packages)")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for flag in (*FLAGS, f"user-data-dir={folder / 'profile'}"):
        options.add_argument(f"--{flag}")
    options.add_experimental_option("prefs", {"download.default_directory": str(folder / "downloads")})
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    with webdriver.Chrome(options, webdriver.ChromeService(driver)) as chrome:
        chrome.set_page_load_timeout(120)
        yield chrome


def from_the_network(browser):
    """Addresses outside this machine that pages asked for; the browser's own first tab does not count."""
    messages = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    requests = [m["params"] for m in messages if m["method"] == "Network.requestWillBeSent"]
    pages = [r["request"]["url"] for r in requests if not r["documentURL"].startswith("chrome")]
    assert any(url.startswith("file:") for url in pages)
    return [url for url in pages if not url.startswith(("file:", "data:", "blob:"))]
