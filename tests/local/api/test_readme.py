"""What the READMEs show works when pasted, against a running server."""

from __future__ import annotations

import json
import re
import secrets
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from api import setup
from api.store import Store
from tests.helpers.api import PASSWORD

ROOT = Path(__file__).parents[3]
TOKEN = "a-token-for-scrapers-only-7f1c"
# An answer of 4xx or 5xx ends the session with an error.
STRICT = 'set -euo pipefail\ncurl() { command curl --fail-with-body "$@"; }\n'


def sessions() -> dict[str, str]:
    """The console blocks that speak to the API, one after the other, of each document."""
    found = {}
    for document in (ROOT / "README.md", *sorted(ROOT.glob("api/**/README.md"))):
        blocks = re.findall(r"^```console\n(.*?)^```$", document.read_text(), re.S | re.M)
        if talking := [block for block in blocks if "curl" in block]:
            found[str(document.relative_to(ROOT))] = "\n".join(talking)
    return found


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
    assert {"README.md", "api/README.md", "api/crud/README.md"} <= set(SESSIONS)


@pytest.mark.parametrize("name", sorted(SESSIONS))
def test_a_session_works(name: str, served: Any, store: Store, tmp_path: Path) -> None:
    mark = secrets.token_hex(5)
    script = STRICT + SESSIONS[name]
    for old, new in (
        ("http://127.0.0.1:8000", served.url),
        ("@example.org", f"@{mark}.example.org"),
        ("AL-1815", f"AL-{mark}"),
        ("MS-1780", f"MS-{mark}"),
    ):
        script = script.replace(old, new)
    credentials = {"email": f"admin@{mark}.example.org", "password": PASSWORD}
    setup.ensure_admin(store, **credentials)
    kept = tmp_path / ".shardstack" / "api" / "admin.json"  # as `up` keeps it
    kept.parent.mkdir(parents=True)
    kept.write_text(json.dumps(credentials))
    done = subprocess.run(
        ["/bin/bash", "-c", script],
        env={"PATH": "/usr/bin:/bin", "SHARDSTACK_METRICS_TOKEN": TOKEN},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, f"{name}: {done.stdout}{done.stderr}"
    assert done.stdout
    if "/import" in script:
        assert '{"created":1,"refused":1}' in done.stdout  # one line of the two is wrong on purpose
