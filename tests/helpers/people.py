"""Consumers of a stack's API, which they reach over HTTPS."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import requests

from cluster.drill.judge.summary import summarise
from cluster.drill.load.http import ApiStore
from cluster.drill.load.workload import Load, Workload

PASSWORD = "a long password of mine"
CALM = 20
"""Acknowledged writes before something is done, and again afterwards."""


class Stack(Protocol):
    """Where consumers find an API."""

    @property
    def url(self) -> str:
        """`https://localhost:8443`, without a path."""


def session(ca: Path) -> requests.Session:
    """A session that trusts the stack's own authority."""
    made = requests.Session()
    made.trust_env = False  # REQUESTS_CA_BUNDLE would replace `verify`
    made.verify = str(ca)
    return made


def sign_up(stack: Stack, ca: Path) -> dict[str, Any]:
    """Somebody new, made by a request through HTTPS."""
    mark = secrets.token_hex(5)
    person = {
        "name": "Ada Lovelace",
        "email": f"ada.{mark}@example.org",
        "national_id": f"AL-{mark.upper()}",
        "password": PASSWORD,
    }
    answer = session(ca).post(f"{stack.url}/api/v1/auth/signup", json=person, timeout=20)
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


def signs_in(stack: Stack, ca: Path, person: dict[str, Any]) -> bool:
    """Whether the person is known, and finds the account."""
    consumer = session(ca)
    credentials = {"email": person["email"], "password": PASSWORD}
    answer = consumer.post(f"{stack.url}/api/v1/auth/login", json=credentials, timeout=20)
    assert answer.status_code == 200, answer.text
    token = answer.json()["access_token"]
    me = consumer.get(
        f"{stack.url}/api/v1/auth/me", headers={"Authorization": f"Bearer {token}"}, timeout=20
    )
    return bool(me.json()["id"] == person["id"])


@contextlib.contextmanager
def consuming(stack: Stack, ca: Path, clients: int = 8) -> Iterator[None]:
    """Consumers who create, read and change during the block, and see no error; nothing is lost."""
    people = [
        sign_up(stack, ca)["email"] for _ in range(min(4, clients))
    ]  # one client each, or more
    accounts = {secrets.token_hex(3): (email, PASSWORD) for email in people}
    store = ApiStore(stack.url, accounts, ca)
    with (
        contextlib.closing(store),
        Workload(store, Load(clients=clients, keys=8)) as workload,
    ):
        for group in accounts:
            workload.wait_for_writes(CALM, group, 30)
        yield
        for group in accounts:
            workload.wait_for_writes(CALM, group, 30)
        report = summarise(workload.finish())
    slowest = max(exchange.took for exchange in store.exchanges)
    print(f"\nlongest request {slowest:.1f} s\n{report.text()}")  # noqa: T201 - shown by -s
    assert report.errors == {}
    assert report.violations == []
    assert max(exchange.status for exchange in store.exchanges) < 500
