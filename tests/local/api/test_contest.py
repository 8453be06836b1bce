"""Of many changes at one version exactly one succeeds, whichever server processes they go to."""

import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests
from flask.testing import FlaskClient

from tests.helpers.api import RunningServer

ROUNDS = 25
RIVALS = 6
"""Threads for each of the two servers, all with the same ETag."""


@pytest.fixture
def servers(
    environment: dict[str, str], server: RunningServer, tmp_path: Path
) -> Iterator[list[RunningServer]]:
    """Two servers, each of one process, over one database."""
    second = RunningServer({**environment, "SHARDSTACK_WORKERS": "1"}, tmp_path / "log")
    try:
        second.wait_ready()
        yield [server, second]
    finally:
        second.stop()


@pytest.mark.long
@pytest.mark.core
def test_of_rivals_with_one_etag_exactly_one_changes_the_document(
    servers: list[RunningServer], client: FlaskClient, ada: dict[str, Any]
) -> None:
    """Round after round: one 200, everybody else 412; and the document is the winner's."""
    path = f"/api/v1/users/{ada['user']['id']}"
    addresses = [f"{server.url}{path}" for server in servers]
    version = ada["user"]["version"]
    start = threading.Barrier(len(servers) * RIVALS)

    def rival(number: int, version: int, turn: int) -> requests.Response:
        start.wait(20)
        return sessions[number].patch(
            addresses[number % len(addresses)],
            json={"occupation": f"rival {number} of round {turn}"},
            headers={**ada["headers"], "If-Match": f'"{version}"'},
            timeout=20,
        )

    sessions = [requests.Session() for _ in range(len(servers) * RIVALS)]
    winners: Counter[int] = Counter()
    with ThreadPoolExecutor(len(sessions)) as threads:
        for turn in range(ROUNDS):
            calls = [threads.submit(rival, n, version, turn) for n in range(len(sessions))]
            answers = [call.result() for call in calls]
            statuses = Counter(answer.status_code for answer in answers)
            assert statuses == {200: 1, 412: len(sessions) - 1}, f"round {turn}"
            [(number, won)] = [(n, a) for n, a in enumerate(answers) if a.status_code == 200]
            winners[number % len(servers)] += 1
            version += 1
            assert won.headers["ETag"] == f'"{version}"'
            found = client.get(path, headers=ada["headers"]).json
            assert found is not None
            assert found["version"] == version
            assert found["occupation"] == f"rival {number} of round {turn}"
    assert len(winners) == len(servers), "only one of the servers ever won: they did not contend"
