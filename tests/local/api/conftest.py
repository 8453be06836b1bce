"""The API before the shared cluster: in this process, and as a real server."""

import importlib.util
import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
import requests
from flask import Flask
from flask.testing import FlaskClient
from pymongo import MongoClient

from api import accounts, resources, schema, settings
from api.app import create_app
from api.resources import USERS, Resource
from api.settings import Settings
from api.store import Documents, Store
from api.store.deadline import deadline
from cluster.local.cluster import LocalCluster

HERE = Path(__file__).parent
PASSWORD = "correct-horse-battery"
GRACE = 0.4  # seconds; short, so that take-overs happen while we look


@pytest.fixture(scope="session")
def seam() -> Any:
    """See seam.py. Installed before any client is made."""
    spec = importlib.util.spec_from_file_location("seam", HERE / "seam.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)  # tests are no package to import it from
    spec.loader.exec_module(module)
    module.install()
    return module.SEAM


@pytest.fixture(scope="session")
def environment(cluster: LocalCluster, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What a server's environment holds."""
    folder = tmp_path_factory.mktemp("api-secrets")
    (folder / "uri").write_text(cluster.uri("app"))
    (folder / "jwt").write_text(secrets.token_urlsafe(48))
    return {
        "SHARDSTACK_DATABASE_URI_FILE": str(folder / "uri"),
        "SHARDSTACK_JWT_SECRET_FILE": str(folder / "jwt"),
        "SHARDSTACK_CLAIM_GRACE": str(GRACE),
        # One address makes all the requests of the tests.
        "SHARDSTACK_LOGIN_RATE_ACCOUNT": "1000000/minute",
        "SHARDSTACK_LOGIN_RATE_ADDRESS": "1000000/minute",
        "SHARDSTACK_LOGIN_RATE_STRANGERS": "1000000/minute",
        "SHARDSTACK_REGISTER_RATE_ADDRESS": "1000000/minute",
        "SHARDSTACK_UNIQUE_RATE_ACCOUNT": "1000000/minute",
        "SHARDSTACK_UNIQUE_RATE_ADDRESS": "1000000/minute",
    }


@pytest.fixture(scope="session")
def conf(environment: dict[str, str]) -> Settings:
    """The same as settings."""
    return settings.load(environment)


@pytest.fixture(scope="session")
def store(conf: Settings, seam: Any) -> Iterator[Store]:
    """A store with the schema applied."""
    assert seam  # must be there before the client
    store = Store(conf.store_options())
    with deadline(60):
        schema.apply(store)
    yield store
    store.close()


@pytest.fixture(scope="session")
def users(store: Store) -> Documents:
    """The users, below HTTP."""
    return USERS.documents(store)


@pytest.fixture(scope="session")
def app(conf: Settings, store: Store) -> Iterator[Flask]:
    """The app in this process, over the schema that `store` applied."""
    app = create_app(msgspec.structs.replace(conf, database_uri=store.options.uri))
    yield app
    app.extensions["store"].close()


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


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    """Speaks to the app without a socket."""
    return app.test_client()


@pytest.fixture(scope="session")
def admin(app: Flask, store: Store) -> dict[str, str]:
    """Headers of an administrator."""
    email = f"admin-{secrets.token_hex(4)}@example.com"
    accounts.ensure_admin(store, email, PASSWORD)
    return log_in(app.test_client(), email)


@pytest.fixture
def person() -> dict[str, str]:
    """A new person's sign-up."""
    return make_person()


@pytest.fixture
def ada(client: FlaskClient, person: dict[str, str]) -> dict[str, Any]:
    """A signed-up user: {"user": as shown, "headers": to be her, "person": what she sent}."""
    return sign_up(client, person)


@pytest.fixture
def bob(client: FlaskClient) -> dict[str, Any]:
    """Another signed-up user."""
    return sign_up(client, make_person())


@pytest.fixture
def another() -> Callable[[], dict[str, str]]:
    """Makes sign-ups of new people."""
    return make_person


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


@pytest.fixture(scope="session")
def server(
    environment: dict[str, str], store: Store, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningServer]:
    """A real server over the shared cluster, and the schema that `store` applied."""
    assert store
    running = RunningServer(environment, tmp_path_factory.mktemp("server") / "log")
    try:
        running.wait_ready()
        yield running
    finally:
        running.stop()


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


@pytest.fixture
def explain(cluster: LocalCluster, store: Store) -> Any:
    """Explains a command as it was sent."""
    client: MongoClient[dict[str, Any]]
    with MongoClient(cluster.uri("admin")) as client:
        database = client[store.database.name]

        def run(command: dict[str, Any]) -> set[str]:
            kept = {name: value for name, value in command.items() if name not in DROPPED}
            return shards_of(database.command("explain", kept, verbosity="queryPlanner"))

        yield run
