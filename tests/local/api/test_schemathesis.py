"""Made-up requests, all of Schemathesis' checks (its default), a server on the real cluster.

A few requests to every operation here; `make test-deep` (SHARDSTACK_DEEP) gives each role minutes,
boundaries of all values, and sequences of operations.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from api import schema, settings
from api.store import Store
from api.store.deadline import deadline
from cluster.local.cluster import LocalCluster
from tests.helpers.api import RunningServer

pytestmark = [pytest.mark.long, pytest.mark.core]

HERE = Path(__file__).parent
DEEP = bool(os.environ.get("SHARDSTACK_DEEP"))
SEED = "20261120"
ROLES = {"admin": ["--max-time=120"], "user": ["--max-time=70"]} if DEEP else {"admin": []}
PHASES = "examples,coverage,fuzzing,stateful" if DEEP else "fuzzing"
EXAMPLES = "20" if DEEP else "1"


@pytest.fixture(scope="module")
def own(
    environment: dict[str, str], cluster: LocalCluster, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[RunningServer, dict[str, str]]]:
    """A server over a database of its own: other tests write what the API would not."""
    folder = tmp_path_factory.mktemp("schemathesis")
    (folder / "uri").write_text(cluster.uri("admin").replace("/?", "/schemathesis?"))
    alone = {**environment, "SHARDSTACK_DATABASE_URI_FILE": str(folder / "uri")}
    store = Store(settings.load(alone).store_options())
    with deadline(60):
        schema.apply(store)
    store.close()
    running = RunningServer(alone, folder / "log")
    try:
        running.wait_ready()
        yield running, alone
    finally:
        running.stop()


@pytest.mark.timeout(400)
@pytest.mark.parametrize("role", list(ROLES))
def test_no_check_fails(
    role: str, own: tuple[RunningServer, dict[str, str]], tmp_path: Path
) -> None:
    server, environment = own
    more = {
        "SCHEMATHESIS_HOOKS": "schemathesis_hooks",
        "PYTHONPATH": os.pathsep.join([str(HERE), *sys.path]),
        "SHARDSTACK_URL": server.url,
        "SHARDSTACK_ROLE": role,
    }
    done = subprocess.run(
        [
            str(Path(sys.executable).with_name("st")),
            f"--config-file={HERE / 'schemathesis.toml'}",
            "run", f"{server.url}/api/v1/openapi.json", "--no-color",
            f"--seed={SEED}", f"--max-examples={EXAMPLES}", *ROLES[role],
            f"--phases={PHASES}",
            "--continue-on-failure", "--no-shrink", "--generation-database=none",
        ],
        env={**os.environ, **environment, **more},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )  # fmt: skip
    report = done.stdout + done.stderr
    assert done.returncode == 0, report[-20_000:]
    tested = re.search(r"Tested: +(\d+)", report)
    assert tested is not None, report
    assert int(tested[1]) > 5, report
