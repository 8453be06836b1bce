"""People, servers and plans for whatever tests the API."""

import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import requests
from flask import Flask
from flask.testing import FlaskClient

from api import resources, schema, settings
from api.app import create_app
from api.resources import Resource
from api.settings import Settings
from api.store import Store
from api.store.deadline import deadline

PASSWORD = "correct-horse-battery"


GRACE = 0.4  # seconds; short, so that take-overs happen while we look


@contextmanager
def serving(conf: Settings, store: Store, *more: Resource) -> Iterator[Flask]:
    """The app with these resources besides; their collections are gone afterwards."""
    before, app = resources.ALL, None
    try:
        resources.ALL = (*before, *more)
        with deadline(60):
            schema.apply(store)
        app = create_app(msgspec.structs.replace(conf, database_uri=store.options.uri))
        yield app
    finally:
        resources.ALL = before
        if app is not None:
            app.extensions["store"].close()
        with deadline(60):
            for name in {one.name for one in more} & set(schema.orphan_names(store)):
                schema.drop(store, name)


def make_person() -> dict[str, str]:
    """A sign-up nobody else has made."""
    mark = secrets.token_hex(5)
    return {
        "name": "Ada Lovelace",
        "national_id": f"T-{mark.upper()}",
        "email": f"ada.{mark}@example.com",
        "phone": "+49 30 1234567",
        "address": "12 St James's Square, London",
        "occupation": "Mathematician",
        "password": PASSWORD,
    }


def sign_up(client: FlaskClient, person: dict[str, str]) -> dict[str, Any]:
    """Sign this person up and in."""
    response = client.post("/api/v1/auth/signup", json=person)
    assert response.status_code == 201, response.json
    return {
        "user": response.json,
        "person": person,
        "headers": log_in(client, person["email"]),
        "url": response.headers["Location"],
    }


def log_in(client: FlaskClient, email: str, password: str = PASSWORD) -> dict[str, str]:
    """Headers of whom this address belongs to."""
    body = {"email": email, "password": password}
    response = client.post("/api/v1/auth/login", json=body)
    assert response.status_code == 200, response.json
    assert response.json is not None
    return {"Authorization": f"Bearer {response.json['access_token']}"}


def free_port() -> int:
    """A port that nobody has at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


UNLIMITED = {
    f"SHARDSTACK_{name}": "1000000/minute"
    for name in (
        "LOGIN_RATE_ACCOUNT",
        "LOGIN_RATE_ADDRESS",
        "LOGIN_RATE_STRANGERS",
        "REGISTER_RATE_ADDRESS",
        "FEEDBACK_RATE_ACCOUNT",
        "FEEDBACK_RATE_ADDRESS",
        "UNIQUE_RATE_ACCOUNT",
        "UNIQUE_RATE_ADDRESS",
    )
}
"""One address makes all the requests of the tests."""


def environment_of(uri: str, folder: Path, **more: str) -> dict[str, str]:
    """What a server's environment holds: its secrets in `folder`, no rate limits, and `more`."""
    (folder / "uri").write_text(uri)
    (folder / "jwt").write_text(secrets.token_urlsafe(48))
    return {
        "SHARDSTACK_DATABASE_URI_FILE": str(folder / "uri"),
        "SHARDSTACK_JWT_SECRET_FILE": str(folder / "jwt"),
        **UNLIMITED,
        **{f"SHARDSTACK_{name}": value for name, value in more.items()},
    }


def apply_schema(environment: dict[str, str]) -> None:
    """Make the database of this environment what a server expects."""
    store = Store(settings.load(environment).store_options())
    try:
        with deadline(60):
            schema.apply(store)
    finally:
        store.close()


class RunningServer:
    """`python -m api serve` in a process of its own, or another program that does the same."""

    def __init__(
        self,
        environment: dict[str, str],
        log: Path,
        program: Sequence[str] = ("-m", "api"),
        port: int | None = None,
    ) -> None:
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = log
        with log.open("wb") as out:
            self.process = subprocess.Popen(
                [sys.executable, *program, "serve", "--state", str(log.parent / "none")],
                env={**os.environ, **environment, "SHARDSTACK_PORT": str(self.port)},
                stdout=out,
                stderr=out,
            )

    def wait_ready(self, seconds: float = 60) -> None:
        """Until /readyz says 200."""
        end = time.monotonic() + seconds
        while True:
            try:
                if requests.get(f"{self.url}/readyz", timeout=2).status_code == 200:
                    return
            except (requests.ConnectionError, requests.Timeout):
                pass
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < end, self.log.read_text()
            time.sleep(0.03)

    def stop(self) -> int:
        """SIGTERM, and its exit code."""
        self.process.terminate()
        try:
            return self.process.wait(12)
        finally:
            self.process.kill()


@contextmanager
def running(
    environment: dict[str, str], log: Path, program: Sequence[str] = ("-m", "api")
) -> Iterator[RunningServer]:
    """A real server that is ready."""
    server = RunningServer(environment, log, program)
    try:
        server.wait_ready()
        yield server
    finally:
        server.stop()


DROPPED = {"lsid", "$clusterTime", "$db", "txnNumber", "maxTimeMS", "writeConcern", "readConcern"}


def shards_of(plan: Any) -> set[str]:
    """The shards that an explain names."""
    found = set()
    if isinstance(plan, dict):
        for name, value in plan.items():
            if name == "shardName":
                found.add(value)
            if name == "shards" and isinstance(value, dict):
                found |= set(value)
            found |= shards_of(value)
    elif isinstance(plan, list):
        for item in plan:
            found |= shards_of(item)
    return found
