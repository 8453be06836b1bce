"""A drill's report in Chromium: light and dark, narrow and wide, by keyboard, alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from cluster.drill.judge.verdict import read
from cluster.drill.report.page import render
from tests.unit.cluster.drill.judge.test_verdict import without_one
from tests.unit.cluster.drill.runs import Model, leave

WIDTHS = (400, 1400)
SCHEMES = ("light", "dark")
LEAST = 4.5
"""Contrast of text and page (WCAG 2.2, 1.4.3), also of what plots draw: there it would be 3."""

CONTRAST = """
const canvas = document.createElement('canvas').getContext('2d');
const rgb = (color) => { canvas.fillStyle = color; canvas.fillRect(0, 0, 1, 1);
  return [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3).map((part) => part / 255); };
const light = (color) => { const [r, g, b] = rgb(color).map(
  (c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
const style = getComputedStyle(document.documentElement);
const page = light(style.getPropertyValue('--page'));
return Object.fromEntries(arguments[0].map((name) => {
  const other = light(style.getPropertyValue(name));
  return [name, (Math.max(page, other) + 0.05) / (Math.min(page, other) + 0.05)]; }));
"""


@pytest.fixture
def report(tmp_path: Path) -> str:
    """The address of the page of a run with a violation, and with a long word in a log."""
    folder = leave(tmp_path / "run", without_one(Model().run()))
    (folder / "logs").mkdir()
    entry = {
        "t": {"$date": "2026-01-02T03:04:08.000+00:00"},
        "s": "E",
        "c": "X",
        "id": 1,
        "msg": "x" * 400,
    }
    (folder / "logs" / "shard-1-1.log").write_text(json.dumps(entry) + "\n", encoding="utf-8")
    file = tmp_path / "report.html"
    file.write_text(render(read(folder)), encoding="utf-8")
    return file.as_uri()


def show(browser: Chrome, address: str, width: int, scheme: str) -> None:
    """Open the page in a window of this width, for somebody who wants this colour scheme."""
    feature = {"name": "prefers-color-scheme", "value": scheme}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    browser.get(address)


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("width", WIDTHS)
def test_it_fits_and_can_be_read(browser: Chrome, report: str, width: int, scheme: str) -> None:
    show(browser, report, width, scheme)
    browser.find_element(By.TAG_NAME, "summary").click()
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    assert (
        browser.execute_script("return getComputedStyle(document.body).backgroundColor")
        == {"light": "rgb(255, 255, 255)", "dark": "rgb(20, 23, 27)"}[scheme]
    )
    names = ["--text", "--faint", "--bad", "--good", "--warn", *(f"--series-{n}" for n in range(6))]
    found = browser.execute_script(CONTRAST, names)
    assert {name: ratio for name, ratio in found.items() if ratio < LEAST} == {}
    texts = browser.find_elements(By.CSS_SELECTOR, "svg text")
    assert texts
    smallest = min(text.size["height"] for text in texts if text.text)
    assert smallest >= 9, "text in a plot is too small to be read"


@pytest.mark.core
def test_everything_is_reached_by_keyboard(browser: Chrome, report: str) -> None:
    show(browser, report, 400, "light")
    wanted = len(browser.find_elements(By.CSS_SELECTOR, ".scroll, summary"))
    reached = set()
    for _ in range(wanted + 2):
        browser.switch_to.active_element.send_keys(Keys.TAB)
        reached.add(browser.switch_to.active_element.id)
    hidden = len(browser.find_elements(By.CSS_SELECTOR, "details:not([open]) .scroll"))
    assert len(reached) >= wanted - hidden
    browser.find_element(By.TAG_NAME, "summary").send_keys(Keys.ENTER)
    assert browser.find_element(By.TAG_NAME, "details").get_attribute("open")


def test_it_asks_nobody_and_complains_of_nothing(browser: Chrome, report: str) -> None:
    browser.get_log("performance")
    browser.get_log("browser")
    show(browser, report, 1400, "light")
    messages = [json.loads(one["message"])["message"] for one in browser.get_log("performance")]
    asked = [
        message["params"]["request"]["url"]
        for message in messages
        if message["method"] == "Network.requestWillBeSent"
    ]
    assert asked == [report]
    assert browser.get_log("browser") == []
