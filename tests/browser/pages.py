"""A person before the pages: what she sees and does, and what the browser complains of."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import requests
from selenium.common import StaleElementReferenceException
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.wait import WebDriverWait

from tests.helpers.api import PASSWORD

AXE = Path(__file__).parent / "vendor" / "axe.min.js"
SECONDS = 20
NETWORK_CHANGED = "net::ERR_NETWORK_CHANGED"  # somebody's container came or went


class Pages:
    """The pages of one server in one browser.

    `expected`: statuses of refusals that a test provokes; any other is a failure.
    """

    def __init__(self, browser: Chrome, url: str, downloads: Path) -> None:
        self.browser = browser
        self.url = url
        self.downloads = downloads
        self.expected: set[int] = set()
        self.kept: list[Any] = []

    def begin(self) -> None:
        """Let the browser forget everything, and look like a wide window."""
        first, *others = self.browser.window_handles
        for other in others:
            self.browser.switch_to.window(other)
            self.browser.close()
        self.browser.switch_to.window(first)
        self.browser.get("about:blank")
        command = self.browser.execute_cdp_cmd
        command("Storage.clearDataForOrigin", {"origin": self.url, "storageTypes": "all"})
        command("Network.clearBrowserCache", {})
        command("Network.clearBrowserCookies", {})
        place = {"behavior": "allow", "downloadPath": str(self.downloads)}
        command("Browser.setDownloadBehavior", place)
        self.dark("light")
        self.width(1400)
        self.forget()
        self.traffic()

    # Looking

    def until(self, what: Callable[[], Any], why: str = "") -> Any:
        """Wait until it is true, or something; returns that. An element may go while we look."""
        gone = (StaleElementReferenceException,)
        return WebDriverWait(self.browser, SECONDS, 0.05, ignored_exceptions=gone).until(
            lambda _: what(), why or None
        )

    def all(self, css: str) -> list[WebElement]:
        """Every visible element of this selector."""
        script = """return [...document.querySelectorAll(arguments[0])]
            .filter((one) => one.checkVisibility())"""
        found: list[WebElement] = self.browser.execute_script(script, css)
        return found

    def one(self, css: str, text: str | None = None) -> WebElement:
        """The first visible element of this selector, and with this text if one is given."""

        def look() -> WebElement | None:
            found = self.all(css)
            try:
                return next((one for one in found if text in (None, one.text.strip())), None)
            except StaleElementReferenceException:  # it was drawn anew meanwhile
                return None

        element: WebElement = self.until(look, f"there is no {css} with {text!r}")
        return element

    def texts(self, css: str) -> list[str]:
        """The texts of all visible elements."""
        script = """return [...document.querySelectorAll(arguments[0])]
            .filter((one) => one.checkVisibility())
            .map((one) => (one.innerText ?? one.textContent).trim())"""
        found: list[str] = self.browser.execute_script(script, css)
        return found

    def sees(self, text: str, css: str = "body") -> None:
        """Wait until this text stands there."""
        self.until(lambda: any(text in one for one in self.texts(css)), f"nobody says {text!r}")

    def rows(self, column: int = 0) -> list[str]:
        """What stands in a column of the table."""
        return self.texts(f"tbody td:nth-child({column + 1})")

    @property
    def hash(self) -> str:
        """What stands behind the # of the address."""
        return str(self.browser.execute_script("return location.hash"))

    # Doing

    def open(self, path: str = "") -> None:
        """Open a view by its address, as from a bookmark."""
        drawn = "return document.querySelector('#app').children.length"
        for _ in range(3):
            self.browser.get("about:blank")
            self.browser.get(f"{self.url}/dashboard{path}")
            self.until(lambda: self.browser.execute_script(drawn) or self._network_changed())
            if self.all("h1"):
                break
        self.one("h1")

    def _network_changed(self) -> bool:
        """Whether the browser dropped requests because the machine got another network."""
        log = self.browser.get_log("browser")
        self.kept += log
        return any(NETWORK_CHANGED in entry["message"] for entry in log)

    def go(self, path: str) -> None:
        """Go to a view as by a link."""
        self.browser.execute_script("location.hash = arguments[0]", path)

    def click(self, css: str, text: str | None = None) -> None:
        """Click on something."""
        element = self.one(css, text)
        self.browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", element)
        element.click()

    def choose(self, css: str, value: str) -> None:
        """Choose an option by its value."""
        options = self.one(css).find_elements(By.TAG_NAME, "option")
        next(one for one in options if one.get_property("value") == value).click()

    def fill(self, **values: str) -> None:
        """Type values into the fields of these names, in place of what is in them."""
        for name, value in values.items():
            within = "dialog[open]" if self.all("dialog[open]") else "main"
            field = self.one(f"{within} [name={name}]")
            field.send_keys(Keys.CONTROL, "a")
            field.send_keys(Keys.DELETE if value == "" else value)

    def send(self) -> None:
        """Send the form that is shown: that of the dialog, if there is one."""
        dialog = self.all("dialog[open]")
        self.click(f"{'dialog[open]' if dialog else 'main'} form.form button[type=submit]")

    def sign_in(self, email: str, password: str = PASSWORD) -> None:
        """Sign in by the form, and wait for the first view."""
        self.fill(name=email, password=password)
        self.send()
        self.one(".own button")

    def enter(self, email: str, path: str = "", password: str = PASSWORD) -> None:
        """Open a view as somebody who has signed in before."""
        body = {"email": email, "password": password, "mode": "cookie"}
        url = f"{self.url}/api/v1/auth/login"
        headers = {"User-Agent": str(self.browser.execute_script("return navigator.userAgent"))}
        answer = requests.post(url, json=body, headers=headers, timeout=10)
        assert answer.status_code == 200, answer.text
        for one in answer.cookies:
            given = {"name": one.name, "value": one.value, "path": one.path, "url": self.url}
            strict = {"httpOnly": True, "secure": True, "sameSite": "Strict"}
            self.browser.execute_cdp_cmd("Network.setCookie", {**given, **strict})
        given = answer.json()
        kept = json.dumps({"access": given["csrf_token"], "refresh": given["csrf_refresh_token"]})
        put = f"localStorage.setItem('shardstack.csrf', {json.dumps(kept)})"
        source = f"if (location.protocol !== 'about:') {put}"
        command = self.browser.execute_cdp_cmd
        before = command("Page.addScriptToEvaluateOnNewDocument", {"source": source})
        try:
            self.open(path)
            self.one(".own button")
        finally:
            command("Page.removeScriptToEvaluateOnNewDocument", before)

    def submenu(self) -> None:
        """Open the menu where there is no room for it."""
        if self.all(".menu-button") and not self.all(".places"):
            self.click(".menu-button")

    @property
    def focus(self) -> WebElement:
        """What has the focus. The pages move it once they are drawn, so wait for it."""
        return self.browser.switch_to.active_element

    def tab(self, times: int = 1) -> WebElement:
        """Press the tabulator; returns what has the focus then."""
        for _ in range(times):
            self.focus.send_keys(Keys.TAB)
        return self.focus

    def dark(self, scheme: str) -> None:
        """Show the pages as somebody likes them: "dark" or "light"."""
        feature = {"name": "prefers-color-scheme", "value": scheme}
        self.browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})

    def width(self, width: int, height: int = 900) -> None:
        """Show them in a window of this size."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)

    def downloaded(self, pattern: str) -> str:
        """The text of the file that the browser has saved; its name is like the pattern."""
        found: Path = self.until(lambda: next(self.downloads.glob(pattern), None))
        return found.read_text()

    # Judging

    def traffic(self) -> list[dict[str, Any]]:
        """What the browser tells of its requests since it was asked last."""
        entries = self.browser.get_log("performance")
        return [json.loads(entry["message"])["message"] for entry in entries]

    def forget(self) -> None:
        """Forget what the browser complained of: a test provoked it."""
        self.kept.clear()
        self.browser.get_log("browser")

    def complaints(self) -> list[str]:
        """What went wrong in the browser: errors, what the policy forbids, refused requests."""
        found = []
        self.kept += self.browser.get_log("browser")
        for entry in self.kept:
            if entry["level"] not in ("SEVERE", "WARNING"):
                continue
            message = entry["message"]
            known = any(f"status of {status}" in message for status in self.expected)
            if not known and NETWORK_CHANGED not in message:
                found.append(message)
        return found

    def violations(self) -> list[str]:
        """What axe-core finds wrong with the page for people who cannot use it as others do."""
        self.browser.execute_script(AXE.read_text())
        script = """const done = arguments[0];
            const said = ({id, nodes}) => `${id}: ${nodes.map(({html}) => html).join(" ")}`;
            axe.run(document, {resultTypes: ["violations"]})
              .then(({violations}) => done(violations.map(said)))"""
        found: list[str] = self.browser.execute_async_script(script)
        return found
