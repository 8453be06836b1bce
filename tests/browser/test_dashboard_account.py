"""People come in, look after their account, and leave: nothing is shown after that, in any tab."""

from __future__ import annotations

import pytest
from selenium.webdriver.common.by import By

from tests.browser.pages import Pages
from tests.helpers.api import make_person

WORDS = {
    "en": {"out": "You are signed out.", "saved": "Saved."},
    "es": {"out": "Su sesión está cerrada.", "saved": "Guardado."},
}


@pytest.mark.core
@pytest.mark.parametrize(("width", "language"), [(390, "es"), (1400, "en")])
def test_sign_up_and_out(pages: Pages, width: int, language: str) -> None:
    person = make_person()
    pages.width(width)
    pages.open()
    choose_language(pages, language)
    pages.click("main a[href='#/auth/sign-up']")
    pages.fill(**person)
    pages.send()
    pages.until(lambda: pages.hash.startswith("#/notes") or pages.hash.startswith("#/projects"))
    pages.go("#/auth/account")
    pages.sees(person["email"])
    pages.fill(name="Ada King")
    pages.click("main section form button[type=submit]")
    pages.sees(WORDS[language]["saved"])
    assert pages.browser.execute_script("return document.documentElement.scrollWidth") <= width

    pages.submenu()
    pages.click(".own button")
    pages.sees(WORDS[language]["out"])
    for _ in range(2):
        pages.browser.back()
        pages.one("input[type=password]")
        assert person["email"] not in pages.browser.page_source


def choose_language(pages: Pages, language: str) -> None:
    pages.submenu()
    pages.choose(".language select", language)
    pages.until(
        lambda: pages.browser.find_element(By.TAG_NAME, "html").get_attribute("lang") == language
    )
