"""A worker dies by SIGKILL after each write of sign-up, e-mail change and deletion.

Whatever step it dies at: what was acknowledged stands, and no value stays taken by nobody.
"""

import secrets
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.helpers.api import GRACE, PASSWORD, RunningServer, make_person, running

pytestmark = [pytest.mark.long, pytest.mark.core]

SERVER = Path(__file__).with_name("crash_server.py")
MOST_WRITES = 12  # of one request; more would be a defect of its own
PATIENCE = 10.0  # seconds, far above the grace time


@pytest.fixture(scope="module")
def mortal(
    environment: dict[str, str], store: Any, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningServer]:
    """A server whose workers can be made to die; its master starts new ones."""
    assert store
    with running(environment, tmp_path_factory.mktemp("mortal") / "log", [str(SERVER)]) as server:
        yield server


class Consumer:
    """Speaks to the server, and knows how to crash it."""

    def __init__(self, server: RunningServer) -> None:
        self._server = server

    def send(self, method: str, path: str, **more: Any) -> requests.Response:
        """One request, sent again if the connection is refused or cut by a worker that died."""
        end = time.monotonic() + PATIENCE
        while True:
            try:
                return requests.request(
                    method, f"{self._server.url}/api/v1{path}", timeout=20, **more
                )
            except requests.ConnectionError:
                assert time.monotonic() < end, self._server.log.read_text()
                time.sleep(0.05)

    def crash(
        self, writes: int, method: str, path: str, headers: dict[str, str], json: Any = None
    ) -> requests.Response | None:
        """The request, with the worker dying after so many writes. None: it did."""
        marked = {**headers, "X-Crash-After": str(writes)}
        self._server.wait_ready()
        try:
            return requests.request(
                method,
                f"{self._server.url}/api/v1{path}",
                headers=marked,
                json=json,
                timeout=20,
            )
        except requests.ConnectionError:
            return None

    def log_in(self, email: str) -> dict[str, str] | None:
        """Headers of the user with this address; None where there is none."""
        answer = self.send("POST", "/auth/login", json={"email": email, "password": PASSWORD})
        if answer.status_code == 401:
            return None
        assert answer.status_code == 200, answer.text
        return {"Authorization": f"Bearer {answer.json()['access_token']}"}

    def can_have(self, **values: str) -> bool:
        """Whether a newcomer gets these values: what is asked after the grace time decides."""
        end = time.monotonic() + GRACE + 0.2
        while True:
            last = time.monotonic() > end
            answer = self.send("POST", "/auth/signup", json={**make_person(), **values})
            if answer.status_code == 201:
                return True
            assert answer.status_code == 409, answer.text
            if last:
                return False
            time.sleep(0.1)


@pytest.fixture
def consumer(mortal: RunningServer) -> Consumer:
    return Consumer(mortal)


def each_step(attempt: Callable[[int], requests.Response | None], status: int) -> int:
    """Crash after 0, 1, … writes, until the request survives. How many writes it makes."""
    for writes in range(MOST_WRITES):
        answer = attempt(writes)
        if answer is not None:
            assert answer.status_code == status, answer.text
            return writes
    raise AssertionError("the request never ends")


def test_sign_up(consumer: Consumer) -> None:
    def attempt(writes: int) -> requests.Response | None:
        person = make_person()
        answer = consumer.crash(writes, "POST", "/auth/signup", {}, person)
        born = consumer.log_in(person["email"]) is not None
        assert born or answer is None
        assert consumer.can_have(email=person["email"]) is not born
        assert consumer.can_have(national_id=person["national_id"]) is not born
        return answer

    assert each_step(attempt, 201) >= 2  # claims, document


def test_change_of_e_mail(consumer: Consumer) -> None:
    def attempt(writes: int) -> requests.Response | None:
        person, new = make_person(), f"new.{secrets.token_hex(6)}@example.com"
        consumer.send("POST", "/auth/signup", json=person)
        headers = consumer.log_in(person["email"])
        assert headers is not None
        change = {"email": new, "current_password": PASSWORD}
        answer = consumer.crash(writes, "POST", "/auth/email", headers, change)
        moved = consumer.log_in(new) is not None
        assert moved or answer is None
        assert (consumer.log_in(person["email"]) is not None) is not moved
        assert consumer.can_have(email=person["email"] if moved else new)
        assert not consumer.can_have(email=new if moved else person["email"])
        return answer

    assert each_step(attempt, 200) >= 3  # claim, document, removal of the old claim


def test_deletion(consumer: Consumer, admin: dict[str, str]) -> None:
    def attempt(writes: int) -> requests.Response | None:
        person = make_person()
        made = consumer.send("POST", "/auth/signup", json=person).json()
        answer = consumer.crash(writes, "DELETE", f"/users/{made['id']}", admin)
        gone = consumer.log_in(person["email"]) is None
        assert gone or answer is None
        assert consumer.can_have(email=person["email"]) is gone
        assert consumer.can_have(national_id=person["national_id"]) is gone
        return answer

    assert each_step(attempt, 204) >= 2  # document, claims


def test_the_owner_itself_need_not_wait(consumer: Consumer, admin: dict[str, str]) -> None:
    """What is repeated after a crash at any step of a change succeeds at once."""

    def attempt(writes: int) -> requests.Response | None:
        made = consumer.send("POST", "/auth/signup", json=make_person()).json()
        change = {"email": f"new.{secrets.token_hex(6)}@example.com"}
        answer = consumer.crash(writes, "PATCH", f"/users/{made['id']}", admin, change)
        again = consumer.send("PATCH", f"/users/{made['id']}", headers=admin, json=change)
        assert (again.status_code, again.json()["email"]) == (200, change["email"])
        return answer

    assert each_step(attempt, 200) >= 3
