"""The pictures of the pages in imgs/, which the READMEs show: `make pictures` renews them."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest
import requests

from api.store import Store
from tests.browser.figures import at, use
from tests.browser.monitor import Monitor
from tests.browser.pages import Pages

pytestmark = pytest.mark.skipif("PICTURES" not in os.environ, reason="make pictures takes them")

PEOPLE = (
    ("Ada Lovelace", "AL-1815-12", "Mathematician", "+44 20 7946 0111"),
    ("Grace Hopper", "GH-1906-12", "Rear admiral", "+1 202 555 0112"),
    ("Hedy Lamarr", "HL-1914-11", "Inventor", "+43 1 5550113"),
    ("Katherine Johnson", "KJ-1918-08", "Mathematician", "+1 757 555 0114"),
    ("Ángela Ruiz Robles", "AR-1895-03", "Maestra e inventora", "+34 91 555 01 15"),
    ("Sophie Wilson", "SW-1957-06", "Computer scientist", None),
)


@pytest.fixture
def shown(
    pages: Pages, administrator: str, admin: dict[str, str], monitor: Monitor, store: Store
) -> Pages:
    """The pages before an administrator, with people in them."""
    monitor.picture = at(time.time())
    use(store)
    url = f"{pages.url}/api/v1/users"
    for name, number, occupation, phone in PEOPLE:
        email = f"{name.split()[0].lower().replace('á', 'a')}@example.org"
        body: dict[str, Any] = {"name": name, "email": email, "national_id": number}
        body |= {"occupation": occupation, "phone": phone}
        requests.post(url, json=body, headers=admin, timeout=10)
    pages.enter(administrator)
    return pages


def take(pages: Pages, name: str, width: int = 1100, height: int = 620) -> None:
    pages.width(width, height)
    pages.one("main h1")
    folder = Path(os.environ["PICTURES"])
    pages.until(lambda: not pages.all(".message"))
    assert pages.browser.save_screenshot(str(folder / f"dashboard-{name}.png"))


def test_pictures(shown: Pages, admin: dict[str, str]) -> None:
    pages = shown
    pages.go("#/users?sort=name&fields=name,email,phone,occupation,role,created_at")
    pages.one("tbody tr")
    take(pages, "users", height=520)

    pages.expected = {412}
    pages.click("tbody a", "Ada Lovelace")
    pages.one("dl")
    url = f"{pages.url}/api/v1/{pages.hash.removeprefix('#/')}"
    pages.fill(occupation="Countess of Lovelace")
    theirs = {"occupation": "Analyst"}
    assert requests.patch(url, json=theirs, headers=admin, timeout=10).status_code == 200
    pages.send()
    pages.one("dialog .sides")
    take(pages, "conflict")
    pages.click("dialog .actions button", "Cancel")

    pages.dark("dark")
    pages.go("#/cluster")
    pages.one(".set svg")
    take(pages, "cluster", height=900)
    pages.dark("light")
    pages.go("#/analytics")
    pages.one(".chart svg")
    take(pages, "analytics", height=700)

    pages.browser.execute_script("localStorage.setItem('shardstack.language', 'es')")
    pages.go("#/users?sort=name")
    pages.browser.refresh()
    pages.one("tbody tr")
    take(pages, "phone", 390, 700)
