"""What the READMEs show works when pasted, against a running server."""

from __future__ import annotations

import re
import secrets
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]
TOKEN = "a-token-for-scrapers-only-7f1c"
# An answer of 4xx or 5xx ends the session with an error.
STRICT = 'set -euo pipefail\ncurl() { command curl --fail-with-body "$@"; }\n'


def sessions() -> list[tuple[str, str]]:
    """The console blocks that speak to the API, with the document each is in."""
    return [
        (str(document.relative_to(ROOT)), block)
        for document in (ROOT / "README.md", *sorted(ROOT.glob("api/**/README.md")))
        for block in re.findall(r"^```console\n(.*?)^```$", document.read_text(), re.S | re.M)
        if "curl" in block
    ]


SESSIONS = sessions()


@pytest.fixture(scope="module")
def served(
    environment: dict[str, str], server: Any, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Any]:
    """A server with a token for its metrics."""
    more = {"SHARDSTACK_METRICS_TOKEN": TOKEN}
    running = type(server)({**environment, **more}, tmp_path_factory.mktemp("readme") / "log")
    try:
        running.wait_ready()
        yield running
    finally:
        running.stop()


def test_there_are_some() -> None:
    assert {name for name, _ in SESSIONS} >= {"README.md", "api/README.md"}


@pytest.mark.parametrize(("name", "block"), SESSIONS, ids=[name for name, _ in SESSIONS])
def test_a_session_works(name: str, block: str, served: Any, tmp_path: Path) -> None:
    mark = secrets.token_hex(5)
    for old, new in (
        ("http://127.0.0.1:8000", served.url),
        ("ada@example.org", f"ada.{mark}@example.org"),
        ("AL-1815-12", f"AL-{mark}"),
    ):
        block = block.replace(old, new)
    done = subprocess.run(
        ["/bin/bash", "-c", STRICT + block],
        env={"PATH": "/usr/bin:/bin", "SHARDSTACK_METRICS_TOKEN": TOKEN},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, f"{name}: {done.stdout}{done.stderr}"
    assert done.stdout
