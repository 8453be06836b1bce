"""/docs in Chromium: everything is shown, it works, and nobody else is asked."""

from __future__ import annotations

import json
from typing import Any

import pytest
import requests
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait


@pytest.fixture
def page(browser: Chrome, server: Any) -> Chrome:
    """The page, with all operations unfolded."""
    browser.get("about:blank")
    browser.get_log("performance")  # leaves out what the browser's own first page asked for
    browser.get(f"{server.url}/docs")
    WebDriverWait(browser, 30).until(lambda b: b.find_elements(By.CSS_SELECTOR, ".opblock"))
    return browser


def described(server: Any) -> set[tuple[str, str]]:
    paths = requests.get(f"{server.url}/api/v1/openapi.json", timeout=10).json()["paths"]
    return {(method.upper(), path) for path, item in paths.items() for method in item}


def requested(browser: Chrome) -> list[str]:
    """The address of every request that the browser sent."""
    entries = (json.loads(entry["message"])["message"] for entry in browser.get_log("performance"))
    return [
        entry["params"]["request"]["url"]
        for entry in entries
        if entry["method"] == "Network.requestWillBeSent"
    ]


def test_all_operations_are_shown(page: Chrome, server: Any) -> None:
    shown = {
        (
            block.find_element(By.CSS_SELECTOR, ".opblock-summary-method").text,
            str(block.find_element(By.CSS_SELECTOR, "[data-path]").get_attribute("data-path")),
        )
        for block in page.find_elements(By.CSS_SELECTOR, ".opblock")
    }
    assert shown == described(server)


@pytest.mark.core
def test_log_in_and_try_it_out(page: Chrome, server: Any, admin: dict[str, str]) -> None:
    wait = WebDriverWait(page, 30)

    def click(selector: str, inside: Any = page) -> Any:
        def ready(_browser: Chrome) -> Any:
            found = inside.find_elements(By.CSS_SELECTOR, selector)
            return found[0] if found and found[0].is_displayed() else None

        element = wait.until(ready)
        page.execute_script("arguments[0].scrollIntoView({block: 'center'})", element)
        element.click()
        return element

    click("button.authorize")
    field = page.find_element(By.CSS_SELECTOR, ".auth-container input#auth-bearer-value")
    field.send_keys(admin["Authorization"].removeprefix("Bearer "))
    click(".auth-btn-wrapper .authorize")
    click(".auth-btn-wrapper .btn-done")

    block = page.find_element(By.ID, "operations-users-users_list")
    click(".opblock-summary-control", block)
    click(".try-out__btn", block)
    click(".execute", block)
    status = wait.until(
        lambda _: block.find_elements(By.CSS_SELECTOR, ".live-responses-table .response-col_status")
    )
    # The first is the column's head.
    assert status[-1].text.startswith("200"), block.text
    assert '"items"' in block.find_element(By.CSS_SELECTOR, ".live-responses-table").text

    sent = requested(page)
    assert any(address.startswith(f"{server.url}/api/v1/users") for address in sent)
    own = (f"{server.url}/", "data:", "blob:")
    foreign = [address for address in sent if not address.startswith(own)]
    assert not foreign
    # What the page's policy forbids, the browser complains of.
    complaints = [e["message"] for e in page.get_log("browser") if e["level"] == "SEVERE"]
    assert not complaints
