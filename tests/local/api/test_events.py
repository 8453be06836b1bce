"""Streams of events: who is told of what, how one goes on where it broke off, and how it ends."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
import requests
from bson import ObjectId

from api.store import Store
from api.store.document import now
from api.store.feed import COLLECTION, WRITTEN
from tests.helpers.api import PASSWORD, RunningServer, make_person
from tests.helpers.events import PATIENCE, Headers, Listener
from tests.local.api.wire import Wire

PROJECTS = "/api/v1/projects"


class Person:
    """Somebody who is logged in at a server."""

    def __init__(self, server: RunningServer) -> None:
        self.server = server
        person = make_person()
        self.email = person["email"]
        self.id = self._post("auth/signup", person, 201)["id"]
        self.headers: Headers = {}
        self.log_in()

    def log_in(self) -> None:
        """Begin a session, and use that."""
        found = self._post("auth/login", {"email": self.email, "password": PASSWORD}, 200)
        self.headers = {"Authorization": f"Bearer {found['access_token']}"}

    def project(self, *members: str) -> str:
        """Make one; its id."""
        made: str = self._post("projects", {"name": "Engine", "members": members}, 201)["id"]
        return made

    def _post(self, path: str, body: Any, status: int) -> Any:
        headers = getattr(self, "headers", {})
        answer = requests.post(
            f"{self.server.url}/api/v1/{path}", json=body, headers=headers, timeout=PATIENCE
        )
        assert answer.status_code == status, answer.text
        return answer.json()


Listen = Callable[..., Listener]


@pytest.fixture
def listen(server: RunningServer) -> Iterator[Listen]:
    """Opens streams at the server."""
    with ExitStack() as stack:

        def begin(headers: Headers, since: str | None = None, url: str = server.url) -> Listener:
            made = Listener(url, headers, since)
            stack.callback(made.close)
            return made

        yield begin


def test_each_is_told_of_what_it_may_see(
    server: RunningServer, admin: Headers, listen: Listen
) -> None:
    ada, bob, eve = (Person(server) for _ in range(3))
    watching = {
        name: listen(one.headers) for name, one in (("ada", ada), ("bob", bob), ("eve", eve))
    }
    everything = listen(admin)
    ours, adas = ada.project(bob.id), ada.project()
    for made in (ours, adas):
        everything.hears(resource="projects", id=made, verb="create")
    eves = eve.project()
    url = f"{server.url}{PROJECTS}/{ours}"
    assert requests.patch(url, json={"name": "E"}, headers=ada.headers, timeout=PATIENCE).ok
    for watcher in ("ada", "bob"):
        watching[watcher].hears(id=ours, verb="change")
    assert requests.delete(url, headers=ada.headers, timeout=PATIENCE).ok
    for watcher in ("ada", "bob"):
        watching[watcher].hears(id=ours, verb="delete")
    watching["eve"].hears(id=eves)
    # What is told later was made later: had they been told of the others', it would be there.
    assert {adas, ours} <= watching["ada"].ids
    assert adas not in watching["bob"].ids
    assert watching["eve"].ids - {eve.id} == {eves}


def test_a_message_holds_no_values(server: RunningServer, admin: Headers, listen: Listen) -> None:
    everything, ada = listen(admin), Person(server)
    name, data, event = everything.hears(resource="users", id=ada.id)
    assert (name, data) == ("change", {"resource": "users", "id": ada.id, "verb": "create"})
    assert ObjectId.is_valid(event or "")


def test_it_goes_on_where_it_broke_off(server: RunningServer, listen: Listen) -> None:
    ada = Person(server)
    first = listen(ada.headers)
    _, _, seen = first.hears(id=ada.project())
    first.close()
    missed = ada.project()
    again = listen(ada.headers, since=seen)
    again.hears(id=missed)
    assert {name for name, _, _ in again.events} == {"change"}


@pytest.mark.parametrize("since", ["nonsense", "é", "5f" * 12, "0" * 24, "f" * 24, "9" * 300])
def test_who_was_away_for_too_long_begins_anew(ada_at: Person, listen: Listen, since: str) -> None:
    again = listen(ada_at.headers, since=since)
    again.wait(lambda: again.events)
    assert again.events[0][:2] == ("reset", {})


@pytest.fixture(scope="module")
def ada_at(server: RunningServer) -> Person:
    return Person(server)


def test_what_others_processes_publish_is_told(
    store: Store, admin: Headers, listen: Listen
) -> None:
    everything = listen(admin)
    change = {"resource": "notes", "id": ObjectId(), "verb": "create", "readers": []}
    entry = {"_id": ObjectId(), WRITTEN: now(), "changes": [change]}
    store.collection(COLLECTION).insert_one(entry)
    everything.hears(resource="notes", id=str(change["id"]))


def test_it_ends_with_its_session(server: RunningServer, listen: Listen) -> None:
    ada = Person(server)
    stream = listen(ada.headers)
    done = requests.post(f"{server.url}/api/v1/auth/logout", headers=ada.headers, timeout=PATIENCE)
    assert done.status_code == 204
    stream.wait(lambda: stream.ended)
    assert stream.events[-1][:2] == ("end", {"reason": "session"})


def test_nobody_waits_for_a_thread_that_a_stream_holds(
    server: RunningServer, listen: Listen
) -> None:
    mine = [Person(server) for _ in range(3)]
    streams = [listen(one.headers) for one in mine for _ in range(12)]  # more than threads
    made = mine[0].project(mine[1].id, mine[2].id)
    for stream in streams:
        stream.hears(id=made)


@pytest.mark.long
@pytest.mark.core
def test_there_is_an_end_of_streams(server: RunningServer) -> None:
    ada = Person(server)
    url = f"{server.url}/api/v1/events"
    with ExitStack() as stack:
        refused = None
        for _ in range(200):  # 20 in each worker, and there are a few
            answer = requests.get(url, headers=ada.headers, stream=True, timeout=PATIENCE)
            stack.callback(answer.close)
            if answer.status_code != 200:
                refused = answer
                break
        assert refused is not None
        assert refused.status_code == 503
        assert refused.json()["type"].endswith(":overloaded")
        assert int(refused.headers["Retry-After"]) > 0


def test_a_stopping_server_says_so(
    environment: dict[str, str], store: Store, tmp_path: Any, listen: Listen
) -> None:
    assert store
    server = RunningServer(environment, tmp_path / "log")
    try:
        server.wait_ready()
        stream = listen(Person(server).headers, url=server.url)
    finally:
        assert server.stop() == 0
    stream.wait(lambda: stream.ended)
    assert stream.events[-1][:2] == ("end", {"reason": "server"})


@pytest.mark.long
@pytest.mark.core
def test_who_takes_nothing_is_let_go(server: RunningServer, store: Store, admin: Headers) -> None:
    token = admin["Authorization"]
    head = f"GET /api/v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: {token}\r\n\r\n"
    change = {"resource": "x" * 1000, "id": None, "verb": "import", "readers": []}
    feed = store.collection(COLLECTION)

    def publish(count: int) -> None:
        feed.insert_one({"_id": ObjectId(), WRITTEN: now(), "changes": [change] * count})

    def wait_for(streams: int) -> None:
        end = time.monotonic() + PATIENCE
        while _streams(server, admin) != streams:
            assert time.monotonic() < end
            publish(1)
            time.sleep(0.1)

    wait_for(0)  # those of other tests have gone
    with Wire(server.port, receive=4096) as deaf:
        deaf.send(head.encode())
        wait_for(1)
        for _ in range(4):  # more than the kernel and the server keep for anybody
            publish(1500)
        wait_for(0)


def _streams(server: RunningServer, admin: Headers) -> int:
    told = requests.get(f"{server.url}/metrics", headers=admin, timeout=PATIENCE).text
    line = next(one for one in told.splitlines() if one.startswith("shardstack_event_streams "))
    return int(float(line.split()[1]))


def test_who_has_gone_is_noticed_before_there_is_something_to_tell(
    server: RunningServer, ada_at: Person
) -> None:
    token = ada_at.headers["Authorization"]
    head = f"GET /api/v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: {token}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE) as client:
        client.sendall(head.encode())
        assert client.recv(4096).startswith(b"HTTP/1.1 200")
        client.shutdown(socket.SHUT_WR)
        told = b"".join(iter(lambda: client.recv(4096), b""))  # until the server closes, too
    assert b": here" not in told  # the sign of life that comes every 15 s


def test_only_who_is_logged_in(server: RunningServer) -> None:
    assert requests.get(f"{server.url}/api/v1/events", timeout=PATIENCE).status_code == 401
