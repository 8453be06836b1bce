"""Caddy, as deploy/caddy/Caddyfile sets it, before two replicas of the API."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator

import pytest

from cluster.local.cluster import LocalCluster
from tests.helpers.api import apply_schema, environment_of
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
    environment = environment_of(
        cluster.uri("app"),
        folder,
        ACCESS_TOKEN_LIFETIME=str(TOKEN_LIFETIME),
        TRUSTED_PROXIES="127.0.0.1/32,::1/128",
    )
    apply_schema(environment)
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
