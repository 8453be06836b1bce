"""Documents are created, changed, met by others' changes, imported and deleted."""

from __future__ import annotations

import json
import secrets
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.browser.pages import Pages
from tests.helpers.api import make_person


@pytest.fixture
def signed_in(pages: Pages, administrator: str) -> Pages:
    """The pages, before an administrator."""
    pages.enter(administrator, "#/users")
    return pages


@pytest.fixture
def ada(server: Any) -> dict[str, Any]:
    """Somebody who has an account."""
    answer = requests.post(f"{server.url}/api/v1/auth/signup", json=make_person(), timeout=10)
    user: dict[str, Any] = answer.json()
    return user


def change(pages: Pages, admin: dict[str, str], path: str, **changes: Any) -> None:
    """What somebody else changes meanwhile."""
    url = f"{pages.url}/api/v1/{path}"
    assert requests.patch(url, json=changes, headers=admin, timeout=10).status_code == 200


@pytest.mark.parametrize("width", [pytest.param(390, marks=pytest.mark.core), 1400])
def test_create_edit_disable_delete(signed_in: Pages, width: int) -> None:
    pages, person = signed_in, make_person()
    pages.width(width)
    pages.click(".title a.main")
    pages.send()  # empty: nothing is sent
    pages.sees("3 fields are not right yet.")
    pages.until(lambda: pages.focus.get_attribute("role") == "alert")
    pages.expected = {422, 404}  # 404: told late of a change, the page looks for what is deleted
    pages.fill(name=person["name"], email=person["email"], national_id="!")
    pages.send()
    pages.one("[name=national_id][aria-invalid]")
    pages.fill(national_id=person["national_id"])
    pages.send()
    pages.sees("Created.")
    pages.until(lambda: pages.one("h1").text == person["name"])

    pages.fill(occupation="Countess")
    pages.send()
    pages.sees("Saved.")
    pages.click(".title button", "Disable")
    pages.click(".title button", "Enable")
    pages.one(".title button", "Disable")

    pages.click(".title button.danger")
    pages.click("dialog button", "Cancel")
    pages.until(lambda: not pages.all("dialog"))
    pages.click(".title button.danger")
    pages.click("dialog button.danger")
    pages.sees("Deleted.")
    pages.until(lambda: pages.hash == "#/users")
    assert pages.browser.execute_script("return document.documentElement.scrollWidth") <= width


@pytest.mark.core
def test_a_conflict_shows_both_versions(
    signed_in: Pages, ada: dict[str, Any], admin: dict[str, str]
) -> None:
    pages = signed_in
    pages.expected = {412}
    pages.go(f"#/users/{ada['id']}")
    pages.fill(occupation="Mine", address="1 My Street")
    change(pages, admin, f"users/{ada['id']}", occupation="Theirs", address="2 Their Street")
    pages.send()
    sides = ["1 My Street", "2 Their Street", "Mine", "Theirs"]
    pages.until(lambda: pages.texts("dialog .value") == sides)
    pages.click("dialog fieldset:nth-of-type(2) label:nth-of-type(2) input")
    # Even while one chooses, somebody may change it once more.
    change(pages, admin, f"users/{ada['id']}", address="3 Their Street")
    pages.send()
    pages.sees("3 Their Street", "dialog")
    pages.send()
    pages.sees("Saved.")
    url = f"{pages.url}/api/v1/users/{ada['id']}"
    stored = requests.get(url, headers=admin, timeout=10).json()
    assert (stored["address"], stored["occupation"]) == ("1 My Street", "Theirs")


@pytest.mark.parametrize("kind", [pytest.param("csv", marks=pytest.mark.core), "ndjson"])
def test_import(signed_in: Pages, tmp_path: Path, kind: str) -> None:
    pages, people = signed_in, [make_person() for _ in range(3)]
    people[1]["email"] = "nobody"
    people[0]["name"] = 'Ada, "Countess"\n'.strip()
    names = ("name", "email", "national_id")
    if kind == "csv":
        rows = [",".join('"' + one[n].replace('"', '""') + '"' for n in names) for one in people]
        text = "\r\n".join((",".join(names), *rows))
    else:
        text = "\n".join(json.dumps({n: one[n] for n in names}) for one in people)
    file = tmp_path / f"people.{kind}"
    file.write_text(text)
    pages.click(".title button", "Import")
    pages.one("dialog input[type=file]").send_keys(str(file))
    pages.send()
    pages.sees("2 were created. 1 was refused.", "dialog")
    pages.click("dialog button", "Save what was refused")
    refused = json.loads(pages.downloaded("users-refused.ndjson"))
    assert (refused["line"], refused["status"]) == (2, 422)
    assert json.loads(refused["input"])["national_id"] == people[1]["national_id"]
    pages.click("dialog .actions button", "Close")
    pages.go(f"#/users?email%5Bprefix%5D={people[0]['email']}")
    pages.until(lambda: pages.rows() == [people[0]["name"]])


@pytest.fixture
def resume(tmp_path: Path) -> Path:
    """A file that is nobody's yet."""
    file = tmp_path / "my résumé <b>.pdf"
    file.write_text(f"%PDF-1.7\n{secrets.token_hex(16)}\n")
    return file


@pytest.mark.core
def test_leads(pages: Pages, administrator: str, resume: Path) -> None:
    name = f"Hopper{secrets.token_hex(3)}"
    pages.open()
    pages.click("main a[href='#/leads/new']")  # without an account
    pages.fill(first_name="Grace", last_name=name, email=f"{name}@example.org".lower())
    pages.one("[name=resume]").send_keys(str(resume))
    pages.send()
    pages.sees("Thank you", "h1")

    pages.enter(administrator, f"#/leads?last_name%5Bprefix%5D={name}")
    pages.until(lambda: pages.rows(2) == [name])
    pages.click("td.file button")
    assert pages.downloaded("*.pdf") == resume.read_text()
    pages.click("tbody input[type=checkbox]")
    pages.sees("Saved.")
    pages.until(lambda: "reached out" in pages.texts("td.choice"))
    box = pages.one("tbody input[type=checkbox]")
    assert box.is_selected()
    assert not box.is_enabled()


@pytest.mark.core
def test_feedback(pages: Pages, administrator: str, admin: dict[str, str]) -> None:
    """A form on each page; administrators see to what came."""
    text = f"The <b>button</b> {secrets.token_hex(4)} is hidden."
    pages.open("#/auth/sign-up")
    pages.click("footer button")
    pages.one("dialog[open]")
    pages.fill(message=text)
    pages.send()
    pages.sees("Thank you. We have received it.")
    pages.enter(administrator, "#/feedback")
    pages.until(lambda: text in pages.texts("tbody td"))
    row = next(one for one in pages.all("tbody tr") if text in one.text)
    assert "#/auth/sign-up" in row.text
    row.find_element("css selector", "input[type=checkbox]").click()
    pages.sees("Saved.")
    url = f"{pages.url}/api/v1/feedback?state=handled"
    found = requests.get(url, headers=admin, timeout=10).json()["items"]
    assert text in {one["message"] for one in found}


def test_what_others_change_is_shown(
    signed_in: Pages, ada: dict[str, Any], admin: dict[str, str]
) -> None:
    """By the stream of events, without a click."""
    pages = signed_in
    pages.go(f"#/users?email%5Bprefix%5D={ada['email']}")
    pages.until(lambda: pages.rows() == [ada["name"]])
    change(pages, admin, f"users/{ada['id']}", name="Somebody Else")
    pages.until(lambda: pages.rows() == ["Somebody Else"])

    pages.click("tbody a")
    pages.fill(occupation="unsaved")
    change(pages, admin, f"users/{ada['id']}", name="Ada Again")
    pages.sees("Somebody else has changed this.")
    assert pages.one("[name=occupation]").get_attribute("value") == "unsaved"
    pages.click(".notice button")
    pages.until(lambda: pages.one("h1").text == "Ada Again")
    url = f"{pages.url}/api/v1/users/{ada['id']}"
    assert requests.delete(url, headers=admin, timeout=10).status_code == 204
    pages.sees("Somebody has deleted this.")


@pytest.mark.core
def test_a_resource_of_ones_own_appears(pages: Pages) -> None:
    """The README's notes and orders, of which the client knows nothing."""
    person = make_person()
    requests.post(f"{pages.url}/api/v1/auth/signup", json=person, timeout=10)
    pages.enter(person["email"], "#/notes")
    pages.sees("There is nothing here yet.")
    pages.click("main a.main")
    pages.fill(title="Shopping", text="Milk\nBread")
    pages.send()
    pages.until(lambda: pages.texts("h1") == ["Shopping"])

    pages.go("#/orders/new")
    pages.fill(city="Berlin")
    pages.click(".group button", "Add")
    pages.fill(product="f" * 24, count="0")
    pages.send()
    pages.one("[name=count][aria-invalid]")
    pages.fill(count="3")
    pages.send()
    pages.one("h1[tabindex] bdi")
    pages.fill(city="Hamburg")
    pages.send()
    pages.sees("Saved.")
    pages.go("#/orders?address.city%5Bprefix%5D=hamb")
    pages.until(lambda: len(pages.all("tbody tr")) == 1)
    pages.sees("City: Hamburg", "tbody")
