"""What the README and --help tell people to run on their own machine, word for word."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import click

README = Path(__file__).parents[2] / "README.md"
ELSEWHERE = "## In Docker Compose"
"""What the README shows from here on wants Docker, or a quiet machine for a benchmark."""
SUITES = "make test "
"""CI runs it itself, and it takes minutes."""

EXAMPLES = (
    "python -m cluster up --shards 3 && python -m cluster status",
    "python -m cluster up --shards 3 --election-timeout-ms 5000",
    "python -m cluster up && python -m api up",
    "python -m api up --port 8080",
    "python -m api create-admin --email ada@example.com",
    "python -m api logs --request 7ab9fd62b5a2efc8",
    "python -m cluster rolling-restart",
    "python -m cluster drill list",
    "python -m cluster drill heal",
    "python -m cluster recover shard-1",
    "python -m cluster rotate-key",
    "python -m cluster rotate-passwords && make up",
    "python -m cluster dump backups/monday",
    "make down PURGE=1 YES=1 && python -m cluster up",  # a restore wants an empty cluster
    "python -m cluster restore backups/monday --state .shardstack",
)
"""The examples of --help, in an order in which each finds what it needs."""

NOT_HERE = {
    "SHARDSTACK_MEMBER_MEMORY=4g python -m cluster mongod-conf": "for hosts",
    "python -m cluster check --except 1 --except 2": "a laptop falls short of more than those",
    "python -m cluster may-upgrade 8.0.17": "the wheel's version may not be upgraded to it",
    "python -m cluster feature-version 8.0": "the wheel's version has no such features",
    "SHARDSTACK_SECRETS=/run/shardstack python -m cluster prepare": "for containers and hosts",
    "python -m api setup --jwt-file jwt --admin-file admin.json": "for containers and hosts",
    "python -m api new-resource notes": "it changes the code; a test of its own does that",
    "python -m cluster exporter --port 9216": "it serves until it is ended",
    'mongosh "$(python -m cluster uri --user app)"': "mongosh comes from npm: make tools",
    "python -m cluster drill run primary-killed": "what it measures depends on the machine",
    "python -m cluster drill run primary-killed --faults 3": "as the one above",
    "python -m cluster drill export drills/monday --as elle --out e.edn": "there is no run",
    "python -m cluster drill judge drills/monday --junit drill.xml": "there is no run",
    "python -m cluster drill report drills/monday drills/tuesday": "there is no run",
}
"""Other examples of --help, and why they are not run on a bare machine."""


def packages() -> str:
    """The Debian packages that the README asks for, separated by spaces."""
    found = re.search(r"`apt-get install ([a-z0-9 -]+)`", README.read_text(encoding="utf-8"))
    assert found, "the README no longer says what to install"
    return found[1]


def blocks() -> list[str]:
    """The README's console blocks, in order, each to be pasted into one shell."""
    text, found, _ = README.read_text(encoding="utf-8").partition(ELSEWHERE)
    assert found, "the README no longer has the heading after which other machines are meant"
    shown = re.findall(r"^```console\n(.*?)^```$", text, re.S | re.M)
    return ["".join(_lines(block)) for block in shown]


def _lines(block: str) -> Iterator[str]:
    return (line for line in block.splitlines(keepends=True) if not line.startswith(SUITES))


def examples(command: click.Command) -> Iterator[str]:
    """The examples that the help of a command, and of those below it, shows."""
    for text in (command.epilog, command.help):
        yield from re.findall(r"^\s*Example: (.+)$", text or "", re.M)
    if isinstance(command, click.Group):
        for one in command.commands.values():
            yield from examples(one)
