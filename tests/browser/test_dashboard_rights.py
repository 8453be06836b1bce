"""What somebody may not do is not offered; what the API refuses all the same is told."""

from __future__ import annotations

import secrets
from typing import Any

import pytest
import requests

from tests.browser.pages import Pages
from tests.helpers.api import make_person

ADMINISTRATORS = (
    "#/users",
    "#/leads",
    "#/audit",
    "#/feedback",
    "#/analytics",
    "#/cluster",
    "#/users/new",
)


@pytest.mark.core
def test_a_user_sees_nothing_of_administrators(pages: Pages) -> None:
    person = make_person()
    requests.post(f"{pages.url}/api/v1/auth/signup", json=person, timeout=10)
    pages.enter(person["email"])
    assert pages.texts("nav li") == ["Projects", "Notes", "Orders"]
    pages.traffic()
    for path in ADMINISTRATORS:
        pages.go(path)
        pages.until(lambda: pages.texts("h1") == ["There is nothing here"])
    pages.go("#/projects")
    pages.one("a.main")
    assert pages.texts(".title button") == []  # no import, no export
    sent = [one for one in pages.traffic() if one["method"] == "Network.requestWillBeSent"]
    urls = {one["params"]["request"]["url"].split("?")[0] for one in sent}
    asked = {url for url in urls if "/api/v1/" in url}
    assert asked <= {f"{pages.url}/api/v1/projects", f"{pages.url}/api/v1/events"}


@pytest.mark.core
def test_a_member_reads_and_is_told_that_it_may_not_change(
    pages: Pages, admin: dict[str, str]
) -> None:
    person = make_person()
    member = requests.post(f"{pages.url}/api/v1/auth/signup", json=person, timeout=10).json()
    body = {"name": f"Engine {secrets.token_hex(3)}", "members": [member["id"]]}
    url = f"{pages.url}/api/v1/projects"
    project: dict[str, Any] = requests.post(url, json=body, headers=admin, timeout=10).json()
    pages.expected = {403}
    pages.enter(person["email"], f"#/projects/{project['id']}")
    pages.until(lambda: pages.texts("h1") == [body["name"]])
    pages.fill(name="Mine now")
    pages.send()
    pages.one("main [role=alert].summary")
    pages.click(".title button.danger")
    pages.click("dialog button.danger")
    pages.one("[role=alert] .message")
    kept = requests.get(f"{url}/{project['id']}", headers=admin, timeout=10).json()
    assert (kept["name"], kept["version"]) == (body["name"], project["version"])


@pytest.mark.core
def test_every_write_carries_the_csrf_token(pages: Pages, administrator: str) -> None:
    pages.enter(administrator, "#/projects/new")
    pages.expected = {403}
    pages.fill(name="Forged")
    kept = "const k = localStorage; window.kept = k.getItem('shardstack.csrf');"
    forged = "k.setItem('shardstack.csrf', JSON.stringify({access: 'x', refresh: 'x'}));"
    pages.browser.execute_script(kept + forged)
    pages.send()
    pages.one("main [role=alert].summary")
    pages.browser.execute_script("localStorage.setItem('shardstack.csrf', window.kept)")
    pages.traffic()
    pages.send()
    pages.until(lambda: pages.texts("h1") == ["Forged"])
    writes = [
        message["params"]["request"]
        for message in pages.traffic()
        if message["method"] == "Network.requestWillBeSent"
        and message["params"]["request"]["method"] != "GET"
    ]
    assert writes
    assert all(one["headers"].get("X-CSRF-TOKEN") for one in writes)
    assert all(one["headers"]["Accept-Language"] == "en" for one in writes)
