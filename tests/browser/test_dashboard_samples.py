"""Sample data at a click, in a system in which there is nobody yet."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium.webdriver import Chrome

from api import setup
from api.settings import load
from api.store import Store
from cluster.local.cluster import LocalCluster
from tests.browser.conftest import serving
from tests.browser.pages import Pages
from tests.helpers.api import PASSWORD, environment_of

EMAIL = "first@example.com"


@pytest.fixture
def empty(
    shared_browser: Chrome,
    cluster: LocalCluster,
    server_environment: dict[str, str],
    tmp_path: Path,
) -> Iterator[Pages]:
    """The pages of a server over a database of its own, which knows one administrator."""
    name = f"samples_{secrets.token_hex(4)}"
    uri = cluster.uri("admin").replace("/?", f"/{name}?")
    own = {**server_environment, **environment_of(uri, tmp_path)}
    with serving(own, tmp_path / "log") as server:
        store = Store(load(own).store_options())
        setup.ensure_admin(store, EMAIL, PASSWORD)
        pages = Pages(shared_browser, server.url, tmp_path / "downloads")
        pages.begin()
        yield pages
        pages.browser.get("about:blank")
    store.database.client.drop_database(name)
    store.close()


def test_samples_at_a_click(empty: Pages) -> None:
    pages = empty
    pages.enter(EMAIL, "#/projects")
    pages.click(".empty button", "Load sample data")
    pages.until(lambda: len(pages.all("tbody tr")) == 25)
    pages.sees("samples were created.")
    for path in ("#/users", "#/leads"):
        pages.go(path)
        pages.until(lambda: len(pages.all("tbody tr")) == 25)
    pages.go("#/notes")
    pages.sees("There is nothing here yet.")
    assert pages.all(".empty button") == []
    assert pages.complaints() == []
