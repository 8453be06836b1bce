"""Accounts to drill with."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tests.compose.drill.servers import Servers
from tests.compose.stack import Stack
from tests.helpers.people import PASSWORD, sign_up


def one_account_per_shard(
    stack: Stack, servers: Servers, ca: Path, shards: Sequence[str]
) -> dict[str, tuple[str, str]]:
    """New accounts, e-mail and password, by the shard that all of their projects are on."""
    found: dict[str, tuple[str, str]] = {}
    while set(found) != set(shards):
        person = sign_up(stack, ca)
        found.setdefault(servers.shard_of(person["id"]), (person["email"], PASSWORD))
    return dict(sorted(found.items()))
