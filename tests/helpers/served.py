"""The API before the shared cluster: fixtures of the suites that speak to it."""

import secrets
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest
from flask import Flask
from flask.testing import FlaskClient
from pymongo import MongoClient

from api import schema, settings, setup
from api.app import create_app
from api.resources import USERS
from api.settings import Settings
from api.store import Documents, Store
from api.store.deadline import deadline
from cluster.local.cluster import LocalCluster
from tests.helpers.api import (
    DROPPED,
    GRACE,
    PASSWORD,
    RunningServer,
    environment_of,
    log_in,
    make_person,
    running,
    shards_of,
    sign_up,
)
from tests.helpers.seam import SEAM, install


@pytest.fixture(scope="session")
def seam() -> Any:
    """See seam.py. Installed before any client is made."""
    install()
    return SEAM


@pytest.fixture(scope="session")
def environment(cluster: LocalCluster, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What a server's environment holds. Its tokens outlive the longest run on a busy machine."""
    folder = tmp_path_factory.mktemp("api-secrets")
    more = {"CLAIM_GRACE": str(GRACE), "ACCESS_TOKEN_LIFETIME": str(24 * 3600)}
    return environment_of(cluster.uri("app"), folder, **more)


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


@pytest.fixture(scope="session")
def admin(app: Flask, store: Store) -> dict[str, str]:
    """Headers of an administrator."""
    email = f"admin-{secrets.token_hex(4)}@example.com"
    setup.ensure_admin(store, email, PASSWORD)
    return log_in(app.test_client(), email)


@pytest.fixture(scope="session")
def server(
    environment: dict[str, str], store: Store, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningServer]:
    """A real server over the shared cluster, and the schema that `store` applied."""
    assert store
    with running(environment, tmp_path_factory.mktemp("server") / "log") as started:
        yield started


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    """Speaks to the app without a socket."""
    return app.test_client()


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
