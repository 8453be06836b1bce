"""Caddy, as deploy/caddy/Caddyfile sets it, before two replicas of the API."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
from collections.abc import Iterator

import pytest

from api import schema, settings
from api.store import Store
from api.store.deadline import deadline
from cluster.local.cluster import LocalCluster
from tests.helpers.caddy import NEEDED, TOKEN_LIFETIME, Caddy, Replica, upstreams


@pytest.fixture(scope="session")
def binary() -> str:
    """The official program: CADDY names it, or it is on the PATH."""
    found = os.environ.get("CADDY") or shutil.which("caddy")
    if found is None:
        pytest.skip("there is no caddy")
    told = subprocess.run([found, "version"], check=True, capture_output=True, text=True).stdout
    version = told.split()[0].lstrip("v")
    numbers = tuple(int(n) for n in version.partition("-")[0].split("."))
    if numbers < NEEDED:
        pytest.skip(f"Caddy {version} has no time-outs for a route. See deploy/caddy/README.md")
    return found


@pytest.fixture(scope="session")
def replicas(
    cluster: LocalCluster, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[list[Replica]]:
    """Two of them, which believe the proxy."""
    folder = tmp_path_factory.mktemp("api-behind-caddy")
    (folder / "uri").write_text(cluster.uri("app"))
    (folder / "jwt").write_text(secrets.token_urlsafe(48))
    environment = {
        "SHARDSTACK_DATABASE_URI_FILE": str(folder / "uri"),
        "SHARDSTACK_JWT_SECRET_FILE": str(folder / "jwt"),
        "SHARDSTACK_ACCESS_TOKEN_LIFETIME": str(TOKEN_LIFETIME),
        "SHARDSTACK_TRUSTED_PROXIES": "127.0.0.1/32,::1/128",
        "SHARDSTACK_LOGIN_RATE_ACCOUNT": "1000000/minute",
        "SHARDSTACK_LOGIN_RATE_ADDRESS": "1000000/minute",
        "SHARDSTACK_REGISTER_RATE_ADDRESS": "1000000/minute",
    }
    store = Store(settings.load(environment).store_options())
    try:
        with deadline(60):
            schema.apply(store)
    finally:
        store.close()
    made = [Replica(environment, folder / f"log-{number}") for number in (1, 2)]
    try:
        yield made
    finally:
        for one in made:
            one.server.stop()


@pytest.fixture(scope="session")
def caddy(
    binary: str, replicas: list[Replica], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Caddy]:
    """The proxy, ready."""
    running = Caddy(binary, tmp_path_factory.mktemp("caddy"), upstreams(replicas))
    try:
        running.wait_ready()
        yield running
    finally:
        running.stop()
