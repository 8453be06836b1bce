"""Sessions over several tabs: renewed once, ended everywhere."""

from __future__ import annotations

import jwt
import pytest
import requests
from selenium.webdriver.common.by import By

from api.settings import Settings
from tests.browser.pages import Pages
from tests.helpers.api import PASSWORD, make_person

ACCESS = "__Host-access_token"


@pytest.fixture
def ada(pages: Pages) -> dict[str, str]:
    """Somebody, signed in before her list of projects."""
    person = make_person()
    requests.post(f"{pages.url}/api/v1/auth/signup", json=person, timeout=10)
    pages.enter(person["email"], "#/projects")
    pages.sees("There is nothing here yet.")
    return person


def another_tab(pages: Pages) -> str:
    """Open a tab with the same list; returns the first one's handle."""
    first = pages.browser.current_window_handle
    pages.browser.switch_to.new_window("tab")
    pages.open("#/projects")
    pages.sees("There is nothing here yet.")
    return first


def refreshes(pages: Pages) -> int:
    """How many requests for new tokens the tab sent since it was asked last."""
    return sum(
        message["method"] == "Network.requestWillBeSent"
        and message["params"]["request"]["url"].endswith("/auth/refresh")
        for message in pages.traffic()
    )


@pytest.mark.core
def test_signing_out_ends_every_tab(pages: Pages, ada: dict[str, str]) -> None:
    first = another_tab(pages)
    pages.click(".own button")
    pages.sees("You are signed out.")
    pages.browser.switch_to.window(first)
    pages.sees("You are signed out.")
    assert ada["email"] not in pages.browser.page_source
    cookies = {one["name"] for one in pages.browser.get_cookies()}
    assert ACCESS not in cookies
    assert pages.browser.execute_script("return localStorage.getItem('shardstack.csrf')") is None

    pages.sign_in(ada["email"])  # and signing in begins it in every tab
    second = next(one for one in pages.browser.window_handles if one != first)
    pages.browser.switch_to.window(second)
    pages.one("[href='#/auth/account']")


@pytest.mark.core
def test_an_expired_token_is_renewed_once(pages: Pages, ada: dict[str, str]) -> None:
    assert ada
    pages.expected = {401}
    pages.traffic()
    pages.browser.delete_cookie(ACCESS)  # as it goes when its time is over
    both = """const done = arguments[0];
        import("/dashboard/api.js").then(({call}) => Promise.all(
          [1, 2, 3].map(() => call("GET", "/api/v1/auth/me")))).then((all) => done(all.length))"""
    assert pages.browser.execute_async_script(both) == 3
    assert refreshes(pages) == 1

    first = another_tab(pages)
    pages.browser.delete_cookie(ACCESS)
    pages.traffic()
    again = """import("/dashboard/api.js").then(({call}) => call("GET", "/api/v1/auth/me"))
        .then(() => { window.renewed = true; })"""
    pages.browser.execute_script(again)
    pages.browser.switch_to.window(first)
    pages.browser.execute_script(again)
    for tab in pages.browser.window_handles:
        pages.browser.switch_to.window(tab)
        pages.until(lambda: pages.browser.execute_script("return window.renewed"))
    assert refreshes(pages) == 1


@pytest.mark.core
def test_a_session_that_is_over_leads_to_signing_in(pages: Pages, ada: dict[str, str]) -> None:
    pages.expected = {401}
    token = log_in(pages, ada["email"])
    url = f"{pages.url}/api/v1/auth/logout-all"
    assert requests.post(url, headers=token, timeout=10).status_code == 204
    pages.go("#/notes")  # any request
    pages.sees("Your session is over.")
    pages.browser.back()
    pages.one("input[type=password]")


def log_in(pages: Pages, email: str) -> dict[str, str]:
    body = {"email": email, "password": PASSWORD}
    answer = requests.post(f"{pages.url}/api/v1/auth/login", json=body, timeout=10)
    return {"Authorization": f"Bearer {answer.json()['access_token']}"}


def test_other_sessions_are_shown_and_ended(pages: Pages, ada: dict[str, str]) -> None:
    token = log_in(pages, ada["email"])
    pages.go("#/auth/account")
    pages.until(lambda: len(pages.all(".sessions li")) == 2)
    pages.click(".sessions button")
    pages.until(lambda: len(pages.all(".sessions li")) == 1)
    answer = requests.get(f"{pages.url}/api/v1/auth/me", headers=token, timeout=10)
    assert answer.status_code == 401


@pytest.mark.core
def test_a_new_password_and_the_end_of_an_account(pages: Pages, ada: dict[str, str]) -> None:
    new = "an even longer password of mine"
    pages.expected = {401, 403}  # the wrong password
    pages.go("#/auth/account")
    form = "main .columns section:last-child"
    pages.one(f"{form} [name=current_password]").send_keys("not my password")
    pages.one(f"{form} [name=new_password]").send_keys(new)
    pages.click(f"{form} button[type=submit]")
    pages.one(f"{form} [role=alert]")
    pages.one(f"{form} [name=current_password]").clear()
    pages.one(f"{form} [name=current_password]").send_keys(PASSWORD)
    pages.click(f"{form} button[type=submit]")
    pages.sees("The password was changed.")
    pages.sign_in(ada["email"], new)
    pages.go("#/auth/account")
    pages.click("main section > button.danger")
    pages.click("dialog button.danger")
    pages.one("input[name=password]")
    pages.fill(name=ada["email"], password=new)
    pages.send()
    pages.one("[role=alert].summary")


@pytest.mark.core
def test_what_needs_a_fresh_log_in_asks_for_the_password(
    pages: Pages, ada: dict[str, str], conf: Settings
) -> None:
    pages.expected = {401}
    log_in_long_ago(pages, conf)
    pages.go("#/auth/account")
    pages.fill(national_id="NEW-" + ada["national_id"])
    pages.click("main .columns > section button[type=submit]")
    pages.sees("enter your password once more", "dialog")
    pages.fill(password=PASSWORD)
    pages.send()
    pages.sees("Saved.")


def log_in_long_ago(pages: Pages, conf: Settings) -> None:
    """Let the session have begun an hour ago: its token says when, and we have the key."""
    cookie = pages.browser.get_cookie(ACCESS)
    assert cookie is not None
    header = jwt.get_unverified_header(cookie["value"])
    claims = jwt.decode(cookie["value"], options={"verify_signature": False})
    claims["auth_time"] -= 3600
    older = jwt.encode(claims, conf.jwt_secret, "HS256", headers={"kid": header["kid"]})
    given = {"name": ACCESS, "value": older, "url": pages.url, "path": "/", "httpOnly": True}
    strict = {"secure": True, "sameSite": "Strict"}
    pages.browser.execute_cdp_cmd("Network.setCookie", {**given, **strict})


def test_nothing_private_is_cached(pages: Pages, ada: dict[str, str]) -> None:
    """Answers of the API are stored by no browser; the pages' own files are."""
    pages.browser.refresh()
    pages.sees("There is nothing here yet.")
    answers = [
        message["params"]["response"]
        for message in pages.traffic()
        if message["method"] == "Network.responseReceived"
    ]
    private = [one for one in answers if "/api/v1/" in one["url"] and "openapi" not in one["url"]]
    assert private
    headers = [{k.lower(): v for k, v in one["headers"].items()} for one in private]
    assert {one["cache-control"] for one in headers} == {"no-store"}
    assert ada["email"] not in pages.browser.execute_script("return JSON.stringify(localStorage)")
    assert pages.browser.find_elements(By.CSS_SELECTOR, "script:not([src])") == []
