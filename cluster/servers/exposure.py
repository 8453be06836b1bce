"""What a server gives to whom has not logged in, as the server itself says.

Two things matter. MongoDB's localhost exception: as long as a server knows no user, whoever comes
from its own machine may make one, with every right; shards have no users of their own, so it would
stand open for ever. And zlib: servers without the fix of CVE-2025-14847 answer a wrong length in a
compressed message with what was in their memory.
Sources: https://www.mongodb.com/docs/manual/core/localhost-exception/,
https://jira.mongodb.org/browse/SERVER-115508
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from cluster.servers.connections import Client

CVE = "CVE-2025-14847"
FIXED = {(4, 4): 30, (5, 0): 32, (6, 0): 27, (7, 0): 28, (8, 0): 17, (8, 2): 3}
"""The first release of each line that has the fix; other lines up to 8.2 never got one."""


@dataclass(frozen=True)
class Exposure:
    """A server's version, whether its localhost exception is open, whether it offers zlib."""

    version: str
    localhost_exception: bool
    zlib: bool


def exposure(client: Client) -> Exposure:
    """Asks one mongod or mongos; who asks may read parameters. Raises PyMongoError."""
    admin = client.admin
    bypass: dict[str, Any] = {"getParameter": 1, "enableLocalhostAuthBypass": 1}
    return Exposure(
        admin.command("buildInfo")["version"],
        bool(admin.command(bypass)["enableLocalhostAuthBypass"]),
        # What a client offers and the server offers, too, is in the answer.
        "zlib" in admin.command("hello", compression=["zlib"]).get("compression", []),
    )


def problems(shown: Mapping[str, Exposure]) -> Iterator[str]:
    """What must not be so, of servers by name."""
    if unlocked := [name for name, one in shown.items() if one.localhost_exception]:
        yield open_to_localhost(unlocked)
    for name, one in shown.items():
        if one.zlib and (fix := missing_fix(one.version)):
            yield (
                f"{name}: MongoDB {one.version} offers zlib, so whoever reaches it may read its "
                f"memory ({CVE}). Install {fix}, or take zlib out of net.compression.compressors."
            )


def notes(shown: Mapping[str, Exposure]) -> Iterator[str]:
    """What one should know, though it does no harm as the servers are set."""
    safe = {name: one.version for name, one in shown.items() if not one.zlib}
    for version in sorted(set(safe.values())):
        if fix := missing_fix(version):
            names = [name for name in safe if safe[name] == version]
            who = "every server" if len(names) == len(shown) else ", ".join(names)
            yield (
                f"MongoDB {version} ({who}) lacks the fix of {CVE}, which came with {fix}: for "
                "development only. The fault is in zlib, which is not offered here."
            )


def open_to_localhost(names: Iterable[str]) -> str:
    """The complaint about servers whose localhost exception is open."""
    return (
        f"{', '.join(names)}: every process of the same machine may make itself root there, "
        "without a password (enableLocalhostAuthBypass is not false). Run `rolling-restart`: it "
        "starts them with the settings of this version."
    )


def missing_fix(version: str) -> str | None:
    """The release that a server of this version should have for the fix; None when it has it."""
    found = re.match(r"(\d+)\.(\d+)\.(\d+)", version)
    if found is None:
        return None
    major, minor, patch = map(int, found.groups())
    if (fixed := FIXED.get((major, minor))) is not None:
        return f"{major}.{minor}.{fixed}" if patch < fixed else None
    newer = [line for line in FIXED if line > (major, minor)]
    return "{}.{}.{}".format(*min(newer), FIXED[min(newer)]) if newer else None
