"""A real browser before a real server. Run by `make test-browser`, not by `make test`."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service

from tests.helpers.served import (  # noqa: F401 - fixtures
    admin,
    app,
    conf,
    environment,
    seam,
    server,
    store,
)

# --no-sandbox: in a container, as root, Chromium's sandbox cannot be set up. --disable-gpu: there
# is none. The others keep it from speaking to its maker, or by other ways than those we watch.
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1400,2000",
    "about:blank",  # instead of a first page that its maker fills
)


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[webdriver.Chrome]:
    """Headless Chromium with a fresh profile, that tells of every request it sends."""
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    assert chromium, "there is no chromium. Install it: apt-get install chromium"
    assert driver, "there is no chromedriver. Install it: apt-get install chromium-driver"
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for flag in (*FLAGS, f"--user-data-dir={tmp_path / 'profile'}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
    running = webdriver.Chrome(options=options, service=Service(driver))
    try:
        running.set_page_load_timeout(30)
        yield running
    finally:
        running.quit()
