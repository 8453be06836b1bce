"""A real browser before a real server. Run by `make test-browser`, not by `make test`."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service

import api
from api import setup
from api.store import Store
from tests.browser.monitor import Monitor
from tests.browser.pages import Pages
from tests.helpers.api import PASSWORD, RunningServer, running
from tests.helpers.served import (  # noqa: F401 - fixtures
    admin,
    app,
    conf,
    environment,
    seam,
    store,
)

PROGRAM = (str(Path(__file__).parent / "server.py"),)
README = Path(api.__file__).parent / "crud" / "README.md"

# --no-sandbox: in a container, as root, Chromium's sandbox cannot be set up. --disable-gpu: there
# is none. The others keep it from speaking to its maker, or by other ways than those we watch.
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1400,2000",
    "--lang=en",
    "about:blank",  # instead of a first page that its maker fills
)


@contextmanager
def chromium(profile: Path) -> Iterator[webdriver.Chrome]:
    """Headless Chromium with a fresh profile, that tells of every request it sends."""
    program, driver = shutil.which("chromium"), shutil.which("chromedriver")
    assert program, "there is no chromium. Install it: apt-get install chromium"
    assert driver, "there is no chromedriver. Install it: apt-get install chromium-driver"
    options = webdriver.ChromeOptions()
    options.binary_location = program
    for flag in (*FLAGS, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.add_experimental_option("prefs", {"intl.accept_languages": "en"})
    options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
    running = webdriver.Chrome(options=options, service=Service(driver))
    try:
        running.set_page_load_timeout(30)
        yield running
    finally:
        running.quit()


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[webdriver.Chrome]:
    """A browser of its own."""
    with chromium(tmp_path / "profile") as running:
        yield running


@pytest.fixture(scope="session")
def shared_browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    """The browser of all tests of the pages; `pages` lets it forget what others did."""
    with chromium(tmp_path_factory.mktemp("profile")) as running:
        yield running


@pytest.fixture(scope="session")
def monitors() -> Iterator[Monitor]:
    """Where the API asks for the cluster."""
    with Monitor().serving() as made:
        yield made


@pytest.fixture
def monitor(monitors: Monitor) -> Monitor:
    """The same, knowing of nothing yet."""
    monitors.picture = monitors.exporter = None
    return monitors


@pytest.fixture(scope="session")
def server_environment(
    environment: dict[str, str],  # noqa: F811 - fixtures
    monitors: Monitor,
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, str]:
    """What a server is given that has the resources of the README besides."""
    folder = tmp_path_factory.mktemp("resources")
    texts = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    for name, text in zip(("notes", "orders"), texts, strict=True):
        (folder / f"{name}.py").write_text(text)
    return {
        **environment,
        "SHARDSTACK_CLUSTER_URL": monitors.url,
        "BROWSER_RESOURCES": str(folder),
        "PYTHONPATH": str(Path(api.__file__).parents[1]),
    }


@contextmanager
def serving(environment: dict[str, str], log: Path) -> Iterator[RunningServer]:  # noqa: F811
    """A real server, with its schema applied."""
    schema = [sys.executable, *PROGRAM, "schema"]
    subprocess.run(schema, env={**os.environ, **environment}, check=True, timeout=60)
    with running(environment, log, PROGRAM) as started:
        yield started


@pytest.fixture(scope="session")
def server(
    server_environment: dict[str, str],
    store: Store,  # noqa: F811
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[RunningServer]:
    """The server of all tests."""
    assert store
    with serving(server_environment, tmp_path_factory.mktemp("server") / "log") as started:
        yield started


@pytest.fixture(scope="session")
def administrator(store: Store) -> str:  # noqa: F811
    """The e-mail address of an administrator, whose password is PASSWORD."""
    email = "boss@example.com"
    setup.ensure_admin(store, email, PASSWORD, "The Boss")
    return email


@pytest.fixture
def pages(
    shared_browser: webdriver.Chrome, server: RunningServer, tmp_path: Path
) -> Iterator[Pages]:
    """The pages, in a wide window. Whatever the browser complains of fails the test."""
    made = Pages(shared_browser, server.url, tmp_path / "downloads")
    made.begin()
    yield made
    assert made.complaints() == []
