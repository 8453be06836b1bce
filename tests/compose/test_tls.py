"""The override that turns on TLS between all members and routers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.compose.stack import MEMBERS, ROUTERS, Stack, fresh
from tests.helpers.people import sign_up, signs_in

PORTS = {"config": 27019, "shard": 27018, "router": 27017}

PLAIN = """
import sys
from pymongo import MongoClient
from pymongo.errors import PyMongoError
for address in sys.argv[1:]:
    try:
        MongoClient(f"mongodb://{address}/?directConnection=true&serverSelectionTimeoutMS=1500"
        ).admin.command("hello")
        print(address, "speaks without TLS")
    except PyMongoError:
        pass
print("done")
"""

BY_A_STRANGER = """
import socket, ssl, sys
for address in sys.argv[1:]:
    host, _, port = address.partition(":")
    context = ssl.create_default_context(cafile="/run/shardstack/key/ca.pem")
    with socket.create_connection((host, int(port)), 5) as plain:
        context.wrap_socket(plain, server_hostname=host).close()
    context = ssl.create_default_context()
    try:
        with socket.create_connection((host, int(port)), 5) as plain:
            context.wrap_socket(plain, server_hostname=host).close()
        print(address, "is trusted by everybody")
    except ssl.SSLCertVerificationError:
        pass
print("done")
"""


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    """A stack that is up with TLS."""
    with fresh("shardstack-tls", ["deploy/compose/tls.yml"]) as made:
        made.up()
        yield made


def test_the_stack_serves(stack: Stack, tmp_path: Path) -> None:
    ca = stack.ca(tmp_path)
    assert signs_in(stack, ca, sign_up(stack, ca))
    assert stack.status()["healthy"]


@pytest.mark.parametrize("script", [PLAIN, BY_A_STRANGER], ids=["plain", "authority"])
def test_who_speaks_without_tls_is_refused(stack: Stack, script: str) -> None:
    addresses = [f"{name}:{PORTS[name.partition('-')[0]]}" for name in (*MEMBERS, *ROUTERS)]
    python = ("--entrypoint", "python", "ops", "-c", script)
    assert stack.run("run", "--rm", "--no-deps", "-T", *python, *addresses) == "done\n"
