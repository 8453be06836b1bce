"""Tables: searched, filtered, ordered and paged, by addresses that can be kept and sent."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable
from typing import Any

import pytest
import requests

from tests.browser.pages import Pages

USERS = 60


@pytest.fixture(scope="module")
def crowd(server: Any, admin: dict[str, str]) -> str:
    """So many users, whose names begin with what this returns."""
    mark = secrets.token_hex(3)
    people = [
        {
            "name": f"Crowd{mark} {n:03}",
            "email": f"c{mark}.{n:03}@example.com",
            "national_id": f"CR-{mark}-{n:03}",
            "occupation": "Nurse" if n % 2 else "Pilot",
        }
        for n in range(USERS)
    ]
    lines = "\n".join(json.dumps(one) for one in people)
    headers = {**admin, "Content-Type": "application/x-ndjson"}
    url = f"{server.url}/api/v1/users/import"
    answer = requests.post(url, data=lines, headers=headers, timeout=30)
    assert f'"created":{USERS}' in answer.text
    return f"Crowd{mark}"


@pytest.fixture
def users(pages: Pages, administrator: str, crowd: str) -> Pages:
    """The list of users, before an administrator."""
    assert crowd
    pages.enter(administrator, "#/users")
    pages.one("tbody tr")
    return pages


def search(pages: Pages, text: str) -> None:
    field = pages.one("[role=search] input")
    field.clear()
    field.send_keys(text)
    pages.click("[role=search] button")


def becomes(pages: Pages, what: Callable[[list[str]], bool]) -> list[str]:
    """The names in the table, once they are so."""
    pages.until(lambda: what(pages.rows()))
    return pages.rows()


@pytest.mark.core
def test_search_filter_and_sort(users: Pages, crowd: str) -> None:
    search(users, crowd.upper())  # as people search: capitals make no difference
    names = becomes(users, lambda found: len(found) == 25 and all(crowd in one for one in found))
    users.click("th button", "Name ↕")
    names = becomes(users, lambda found: found[:1] == [f"{crowd} 000"])
    assert names == sorted(names)

    users.click(".menu summary")
    users.fill(occupation="Pilot")
    users.click(".filters button[type=submit]")
    becomes(users, lambda found: found[:2] == [f"{crowd} 000", f"{crowd} 002"])
    assert set(users.rows(5)) == {"Pilot"}

    address = users.hash  # what a bookmark keeps
    users.browser.refresh()
    becomes(users, lambda found: found[:2] == [f"{crowd} 000", f"{crowd} 002"])
    assert users.hash == address

    email = users.rows(2)[3]
    search(users, email)
    becomes(users, lambda found: len(found) == 1)
    assert users.rows(2) == [email]


def test_search_by_id(users: Pages) -> None:
    users.click("tbody tr a")
    users.one("dl")
    found, title = users.hash.split("/")[-1], users.one("h1").text
    users.go("#/users")
    search(users, found)
    users.until(lambda: users.hash == f"#/users/{found}")
    users.until(lambda: users.one("h1").text == title)

    users.go("#/users")
    users.expected = {404}
    search(users, "f" * 24)
    users.one("[role=alert] .message")


@pytest.mark.core
def test_next_and_back(users: Pages, crowd: str) -> None:
    users.go(f"#/users?name%5Bprefix%5D={crowd}&sort=name&limit=25")
    becomes(users, lambda found: found[:1] == [f"{crowd} 000"])
    users.click(".pages button", "Next")
    becomes(users, lambda found: found[:1] == [f"{crowd} 025"])
    users.click(".pages button", "Next")
    becomes(users, lambda found: found == [f"{crowd} {n:03}" for n in range(50, USERS)])
    assert not users.one(".pages button:last-of-type").is_enabled()
    third = users.hash
    users.click(".pages button", "Back")
    becomes(users, lambda found: found[:1] == [f"{crowd} 025"])
    users.browser.back()
    becomes(users, lambda found: found[:1] == [f"{crowd} 050"])
    users.browser.refresh()
    becomes(users, lambda found: found[:1] == [f"{crowd} 050"])
    users.click(".pages button", "Back")  # which page was before, the history knows
    becomes(users, lambda found: found[:1] == [f"{crowd} 025"])

    users.open(third)  # from a bookmark it does not
    becomes(users, lambda found: found[:1] == [f"{crowd} 050"])
    users.click(".pages a", "First page")
    becomes(users, lambda found: found[:1] == [f"{crowd} 000"])
    users.choose(".pages select", "100")
    becomes(users, lambda found: len(found) == USERS)


def test_columns_are_chosen(users: Pages) -> None:
    heads = users.texts("th")
    users.click(".menu:last-of-type summary")
    users.click(".panel .check", "Version")
    users.until(lambda: "Version" in users.texts("th"))
    users.click(".panel .check", "Address")
    users.until(lambda: "Address" not in users.texts("th"))
    assert "Address" in heads
    assert "fields=" in users.hash


def test_nothing_is_found_and_an_address_is_wrong(users: Pages) -> None:
    users.go("#/users?name%5Bprefix%5D=nobody-has-this-name")
    users.sees("Nothing matches this search.")
    users.expected = {422}
    users.go("#/users?role=emperor")
    users.until(lambda: users.all(".empty[role=alert]"))


def test_export_takes_the_filters(users: Pages, crowd: str) -> None:
    users.go(f"#/users?name%5Bprefix%5D={crowd}&occupation=Pilot")
    becomes(users, lambda found: len(found) == 25)
    users.click(".title button", "Export")
    lines = users.downloaded("export*").splitlines()
    assert len(lines) == USERS / 2
    assert all(crowd in line for line in lines)
