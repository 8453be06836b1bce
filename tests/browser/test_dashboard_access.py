"""For people who do not see well, or have no mouse: axe-core finds nothing; keys suffice."""

from __future__ import annotations

import pytest
import requests
from selenium.webdriver.common.keys import Keys

from api.store import Store
from tests.browser.figures import PICTURE, use
from tests.browser.monitor import Monitor
from tests.browser.pages import Pages
from tests.helpers.api import make_person

PLAIN = ("#/auth/sign-in", "#/auth/sign-up", "#/leads/new")
INSIDE = (
    "#/users",
    "#/users?name%5Bprefix%5D=nobody-at-all",
    "#/users/new",
    "#/projects/new",
    "#/orders/new",
    "#/leads",
    "#/audit",
    "#/feedback",
    "#/auth/account",
    "#/analytics",
    "#/cluster",
    "#/nowhere",
)


@pytest.fixture
def everything(pages: Pages, administrator: str, monitor: Monitor, store: Store) -> Pages:
    """The pages before an administrator, with something to show everywhere."""
    monitor.picture = PICTURE
    use(store)
    requests.post(f"{pages.url}/api/v1/auth/signup", json=make_person(), timeout=10)
    pages.enter(administrator, "#/users")
    return pages


def settled(pages: Pages) -> None:
    """Wait until a view shows what it has to show."""
    pages.until(lambda: pages.all("main h1"))
    pages.until(lambda: not any("Loading" in text for text in pages.texts("main .empty")))


@pytest.mark.parametrize(
    ("scheme", "width"),
    [
        pytest.param("light", 390, marks=pytest.mark.core),
        pytest.param("dark", 1400, marks=pytest.mark.core),
        ("light", 1400),
        ("dark", 390),
    ],
)
def test_axe_finds_nothing(everything: Pages, scheme: str, width: int) -> None:
    pages = everything
    pages.dark(scheme)
    pages.width(width)
    found = {}
    for path in INSIDE:
        pages.go(path)
        settled(pages)
        found[path] = pages.violations()
        wide = pages.browser.execute_script("return document.documentElement.scrollWidth")
        assert wide <= width, path
    pages.go("#/users")
    pages.one("tbody a")
    pages.click(".menu summary")
    found["filters"] = pages.violations()
    pages.go(f"#/users/{some_id(pages)}")
    pages.one("dl")
    found["document"] = pages.violations()
    pages.send()
    pages.one(".message")
    found["message"] = pages.violations()
    pages.go("#/users")
    pages.click(".title button", "Import")
    found["dialog"] = pages.violations()
    pages.click("dialog .actions button")
    pages.submenu()
    pages.click(".own button")
    pages.sees("You are signed out.")
    for path in PLAIN:
        pages.go(path)
        settled(pages)
        found[path] = pages.violations()
    pages.send()
    found["faults"] = pages.violations()
    assert {where: what for where, what in found.items() if what} == {}


def some_id(pages: Pages) -> str:
    return str(pages.one("tbody a").get_attribute("href")).rsplit("/", 1)[1]


@pytest.mark.core
def test_the_keyboard_suffices(everything: Pages) -> None:
    pages = everything
    pages.one("tbody tr")
    assert pages.tab().text == "Skip to the content"
    pages.focus.send_keys(Keys.ENTER)
    pages.until(lambda: pages.focus.tag_name == "main")
    assert pages.hash == "#/users"

    assert pages.tab(3).text == "Create"
    focus = pages.tab(3)
    assert focus.text.startswith("Filters")
    focus.send_keys(Keys.ENTER)
    assert pages.tab().get_attribute("name") == "name"
    pages.focus.send_keys(Keys.ESCAPE)
    pages.until(lambda: not pages.all(".panel"))
    pages.until(lambda: pages.focus.text.startswith("Filters"))

    pages.one("tbody a").send_keys(Keys.ENTER)
    pages.one("dl")
    pages.until(lambda: pages.focus.tag_name == "h1")  # of the new view
    button = pages.one(".title button.danger")
    button.send_keys(Keys.ENTER)
    pages.until(lambda: pages.focus.text == "Cancel")
    pages.focus.send_keys(Keys.ESCAPE)
    pages.until(lambda: not pages.all("dialog"))
    pages.until(lambda: pages.focus == button)
