"""What people stored is text, wherever it is shown; and the page's policy lets nothing else in."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.browser.pages import Pages

MARKUP = '<img src=x onerror="window.bitten=1"><script>window.bitten=1</script>'
HOSTILE = (
    MARKUP,
    '"><svg onload=window.bitten=1>',
    "${window.bitten=1} {{7*7}} {count}",
    "javascript:window.bitten=1",
    "'; DROP TABLE users; --",
    "ÅÖ Ω 日本語 עברית العربية 👩‍👩‍👧‍👦",
    "W" * 200,
)
MOST_ON_THE_WIRE = 120_000  # bytes


def marked(admin: dict[str, str], url: str, name: str) -> dict[str, Any]:
    """A user whose every text is hostile."""
    body = {
        "name": name,
        "email": f"x{secrets.token_hex(4)}@example.com",
        "national_id": f"X-{secrets.token_hex(4)}",
        "occupation": name,
        "address": name,
    }
    answer = requests.post(f"{url}/api/v1/users", json=body, headers=admin, timeout=10)
    assert answer.status_code == 201, answer.text
    user: dict[str, Any] = answer.json()
    return user


@pytest.mark.parametrize("language", [pytest.param("es", marks=pytest.mark.core), "en"])
def test_stored_markup_is_text(
    pages: Pages, administrator: str, admin: dict[str, str], language: str
) -> None:
    pages.enter(administrator)
    pages.browser.execute_script(f"localStorage.setItem('shardstack.language', '{language}')")
    pages.browser.refresh()
    for name in HOSTILE:
        user = marked(admin, pages.url, name)
        pages.go(f"#/users?email%5Bprefix%5D={user['email']}")
        pages.until(lambda: pages.texts("tbody td:first-child") == [user["name"]])  # noqa: B023
        pages.go(f"#/users/{user['id']}")
        pages.until(lambda: pages.texts("h1") == [user["name"]])  # noqa: B023
        assert pages.one("[name=occupation]").get_attribute("value") == user["occupation"]
        pages.click(".title button.danger")
        assert user["name"] in pages.one("dialog p").text
        pages.click("dialog header button")
    assert pages.browser.execute_script("return window.bitten") is None
    width = "return document.documentElement.scrollWidth <= innerWidth"
    for size in (390, 1400):
        pages.width(size)
        assert pages.browser.execute_script(width)


def test_file_names_and_refusals_are_text(pages: Pages, administrator: str, tmp_path: Path) -> None:
    pages.expected = {409, 415, 422}
    file = tmp_path / "<img src=x onerror=alert(1)>.pdf"
    file.write_text(f"%PDF-1.7\n{secrets.token_hex(16)}\n")
    pages.open("#/leads/new")
    last = f"Hostile{secrets.token_hex(3)}"
    pages.fill(first_name=MARKUP[:90], last_name=last, email=f"{last.lower()}@example.org")
    pages.one("[name=resume]").send_keys(str(file))
    pages.send()
    pages.sees("Thank you", "h1")
    pages.enter(administrator, f"#/leads?last_name%5Bprefix%5D={last}")
    pages.until(lambda: pages.texts("td.file bdi") == [file.name])

    people = tmp_path / "people.ndjson"
    people.write_text('{"name": "x", "<img src=x onerror=window.bitten=1>": 1}\n')
    pages.go("#/users")
    pages.click(".title button", "Import")
    pages.one("dialog input[type=file]").send_keys(str(people))
    pages.send()
    pages.sees("<img src=x", "dialog")
    assert pages.browser.execute_script("return window.bitten") is None


@pytest.mark.core
def test_the_policy_stops_what_is_not_ours(pages: Pages) -> None:
    pages.open()
    script = """const refused = [];
        const attempt = (name, work) => { try { work(); } catch { refused.push(name); } };
        const script = document.createElement("script");
        attempt("script", () => { script.textContent = "window.bitten = 1"; });
        script.append("window.bitten = 1");
        attempt("append", () => document.body.append(script));
        attempt("markup", () => { document.body.innerHTML = "<b>x</b>"; });
        attempt("handler", () => document.body.setAttribute("onclick", "window.bitten = 1"));
        document.body.click();
        return refused"""
    # chromedriver's own scripts are not held to the policy, but what they put into the page is.
    assert pages.browser.execute_script(script) == ["script", "markup", "handler"]
    assert pages.browser.execute_script("return window.bitten") is None
    assert pages.complaints() != []  # and a test would fail for it
    pages.forget()


@pytest.mark.core
def test_first_load_is_small(pages: Pages) -> None:
    pages.browser.get("about:blank")
    pages.traffic()
    pages.open()
    messages = pages.traffic()
    finished = [m["params"] for m in messages if m["method"] == "Network.loadingFinished"]
    asked = [m["params"]["request"] for m in messages if m["method"] == "Network.requestWillBeSent"]
    assert all(one["url"].startswith((pages.url, "data:")) for one in asked)
    assert 10_000 < sum(one["encodedDataLength"] for one in finished) <= MOST_ON_THE_WIRE
