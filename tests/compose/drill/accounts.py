"""Accounts to drill with."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from pathlib import Path

import requests

from tests.compose.drill.servers import Servers
from tests.compose.stack import Stack

PASSWORD = "correct horse battery staple"


def one_account_per_shard(
    stack: Stack, servers: Servers, ca: Path, shards: Sequence[str]
) -> dict[str, tuple[str, str]]:
    """New accounts, e-mail and password, by the shard that all of their projects are on."""
    found: dict[str, tuple[str, str]] = {}
    with stack.session(ca) as session:
        while set(found) != set(shards):
            mark = secrets.token_hex(6)
            email = f"drill.{mark}@example.com"
            person = {
                "name": "Drill Sergeant",
                "national_id": f"D-{mark.upper()}",
                "email": email,
                "password": PASSWORD,
            }
            answer = session.post(f"{stack.url}/api/v1/auth/signup", json=person, timeout=20)
            assert answer.status_code == requests.codes.created, answer.text
            found.setdefault(servers.shard_of(answer.json()["id"]), (email, PASSWORD))
    return dict(sorted(found.items()))
