"""What a cluster shall be: its counts, timings and sizes.

A Topology is what a person writes, in TOML or as flags; `default.toml` explains every value. Which
nodes that makes, and where they listen, is in `layout`.
"""

from __future__ import annotations

import dataclasses
import difflib
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cluster.errors import TopologyError

DEFAULT_FILE = Path(__file__).parents[1] / "default.toml"
AUTO = "auto"
PROFILES = (AUTO, "laptop", "production")


@dataclass(frozen=True)
class Topology:
    """The description of a cluster; sizes in GiB and MiB, times in milliseconds.

    What is AUTO follows from the place: the profile, sizes from memory, free ports.
    """

    shards: int
    members: int
    config_servers: int
    routers: int
    election_timeout_ms: int
    heartbeat_interval_ms: int
    profile: str
    cache_gb: str | float
    oplog_mb: str | int
    connections: str | int
    ports: str | int
    database: str

    def changed(self, **changes: Any) -> Topology:
        """The same with some values changed; raises TopologyError when one does not fit."""
        return make({**dataclasses.asdict(self), **changes}, "the topology", flags=changes)


def load(path: Path | None = None, overrides: Mapping[str, Any] | None = None) -> Topology:
    """The topology of a TOML file (None: the default) with some values overridden.

    Raises TopologyError with one line per mistake.
    """
    values = dict(DEFAULTS)
    source = "the default topology"
    if path is not None:
        values |= _read(path)
        source = str(path)
    given = {name: value for name, value in (overrides or {}).items() if value is not None}
    return make(values | given, source, flags=given)


def make(
    values: Mapping[str, Any], source: str, flags: Mapping[str, Any] | None = None
) -> Topology:
    """A checked Topology of plain values; `source` and `flags` are for the messages only."""
    problems = []
    values = {name: _word(name, value) for name, value in values.items()}
    for name in values:
        if name not in RULES:
            close = difflib.get_close_matches(name, RULES, n=1)
            hint = f" Did you mean {close[0]}?" if close else f" It may hold: {', '.join(RULES)}."
            problems.append(f"{source}: there is no setting {name!r}.{hint}")
    for name, rule in RULES.items():
        where = f"--{name.replace('_', '-')}" if name in (flags or {}) else f"{source}: {name}"
        if name not in values:
            problems.append(f"{where} is missing. Add it.")
        elif complaint := rule(values[name]):
            problems.append(f"{where} is {values[name]!r}. {complaint}")
    if not problems:
        topology = Topology(**values)
        problems = [f"{source}: {problem}" for problem in _contradictions(topology)]
    if problems:
        raise TopologyError(*problems)
    return topology


def _word(name: str, value: Any) -> Any:
    """A word with a meaning of its own is taken in capitals, too; a database's name has none."""
    return value.lower() if isinstance(value, str) and name != "database" else value


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        problem = f"{path} cannot be read ({error.strerror}). Give an existing file to --topology."
    except UnicodeDecodeError:
        problem = f"{path} is not a text file in UTF-8. Give a TOML file to --topology."
    except tomllib.TOMLDecodeError as error:
        problem = f"{path} is not valid TOML: {error}. Compare it with {DEFAULT_FILE}."
    raise TopologyError(problem)


def _contradictions(topology: Topology) -> list[str]:
    problems = []
    if topology.heartbeat_interval_ms * 2 > topology.election_timeout_ms:
        problems.append(
            f"heartbeat_interval_ms {topology.heartbeat_interval_ms} is too long for an "
            f"election_timeout_ms of {topology.election_timeout_ms}. Make it at most half of it."
        )
    nodes = topology.routers + topology.config_servers + topology.shards * topology.members
    if isinstance(topology.ports, int) and topology.ports + nodes - 1 > 65535:
        problems.append(
            f"{nodes} nodes do not fit above port {topology.ports}. "
            f"Choose a first port of at most {65536 - nodes}."
        )
    return problems


# ---- one rule per setting: None when the value is fine, else what it must be -------------------

Rule = Callable[[object], str | None]


def _whole(lowest: int, highest: int) -> Rule:
    def check(value: object) -> str | None:
        if type(value) is int and lowest <= value <= highest:
            return None
        return f"Give a whole number from {lowest} to {highest}."

    return check


def _voters(value: object) -> str | None:
    if type(value) is int and value in (1, 3, 5, 7):
        return None
    return "Give 1, 3, 5 or 7: an even number of voters survives no more than one fewer does."


def _auto_or(rule: Rule) -> Rule:
    def check(value: object) -> str | None:
        if value == AUTO or (complaint := rule(value)) is None:
            return None
        return complaint.replace("Give ", f'Give "{AUTO}", or ', 1)

    return check


def _profile(value: object) -> str | None:
    if value in PROFILES:
        return None
    return 'Give "auto", "laptop" or "production".'


def _cache(value: object) -> str | None:
    if type(value) in (int, float) and 0.25 <= value <= 10_000:  # type: ignore[operator]
        return None
    return "Give GiB from 0.25 to 10000."


def _ports(value: object) -> str | None:
    if value == AUTO or (type(value) is int and 1024 <= value <= 65535):
        return None
    return 'Give "auto" or the first port, a whole number from 1024 to 65535.'


def _database(value: object) -> str | None:
    if isinstance(value, str) and re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]{0,62}", value):
        if value.lower() not in ("admin", "local", "config", "cluster"):
            return None
        return "That database is the cluster's own. Give another name."
    return "Give a name of letters, digits, _ and -, at most 63, that begins with a letter."


RULES: dict[str, Rule] = {
    "shards": _whole(1, 32),
    "members": _voters,
    "config_servers": _voters,
    "routers": _whole(1, 32),
    "election_timeout_ms": _whole(500, 60_000),
    "heartbeat_interval_ms": _whole(50, 30_000),
    "profile": _profile,
    "cache_gb": _auto_or(_cache),
    "oplog_mb": _auto_or(_whole(16, 1_000_000)),
    "connections": _auto_or(_whole(100, 1_000_000)),
    "ports": _ports,
    "database": _database,
}

DEFAULTS: Mapping[str, Any] = _read(DEFAULT_FILE)
