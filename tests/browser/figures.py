"""What the API tells of a cluster and of its own use, to be drawn."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

from api.store import Store
from api.store.analytics import Addition, add
from api.store.deadline import deadline

AT = 1_795_800_000.0  # seconds since 1970
FAR = datetime(2100, 1, 1, tzinfo=UTC)


def _server(name: str, state: str | None, **more: Any) -> dict[str, Any]:
    up = state != "DOWN"
    server = {
        "name": name,
        "address": "127.0.0.1:27017",
        "up": up,
        "error": None if up else "no answer in 1 s: connection refused",
        "version": "8.0.4" if up else None,
        "uptime_seconds": 86_400 if up else None,
        "connections": 23 if up else None,
        "operations": {"insert": 100, "query": 2000, "update": 50, "delete": 1} if up else None,
        "queues": {"readers": 0, "writers": 2} if state == "PRIMARY" else None,
        "storage_bytes": 3_072_000 if up and state else None,
    }
    return server | ({"state": state} if state else {}) | more


def _set(name: str, states: tuple[str, ...]) -> dict[str, Any]:
    members = [
        _server(f"{name}-{n}", state, lag_seconds=None if state == "DOWN" else float(n - 1))
        for n, state in enumerate(states, 1)
    ]
    primary = next((one["name"] for one in members if one["state"] == "PRIMARY"), None)
    alive = sum(one["up"] for one in members)
    return {
        "name": name,
        "is_config": name == "config",
        "primary": primary,
        "elected_at": AT - 3600,
        "has_majority": alive >= 2,
        "survives_losses": max(0, alive - 2),
        "members": members,
    }


PICTURE: dict[str, Any] = {
    "at": AT,
    "sets": [
        _set("config", ("PRIMARY", "SECONDARY", "SECONDARY")),
        _set("shard-1", ("SECONDARY", "PRIMARY", "DOWN")),
        _set("shard-2", ("DOWN", "DOWN", "SECONDARY")),
    ],
    "routers": [_server("router-1", None), _server("router-2", None)],
    "shards": [
        {"name": "shard-1", "draining": False, "chunks": 12, "collections": 5},
        {"name": "shard-2", "draining": True, "chunks": 7, "collections": 5},
    ],
    "balancer": "on",
    "events": {"moveChunk.commit": 3},
    "problems": ["shard-2 has no primary: it takes no writes", "shard-1-3: connection refused"],
    "timeline": [
        {"at": AT - 7200, "kind": "backup", "set": None, "text": "A backup was made"},
        {"at": AT - 600, "kind": "drill", "set": "shard-1", "text": "primary-killed: passed"},
        {"at": AT - 30, "kind": "down", "set": "shard-2", "text": "shard-2-1 does not answer"},
        {"at": AT - 28, "kind": "election", "set": "shard-1", "text": "shard-1-2 is primary"},
    ],
}


def at(moment: float) -> dict[str, Any]:
    """The picture as if it were of another moment."""
    events = [{**one, "at": one["at"] - AT + moment} for one in PICTURE["timeline"]]
    return {**PICTURE, "at": moment, "timeline": events}


def use(store: Store) -> None:
    """Let the API remember three weeks of use."""
    for number in range(21):
        day = datetime.now(UTC).date() - timedelta(days=number + 1)
        counts = Counter(
            {
                "users/list.requests": 800 + 90 * (number % 7),
                "auth/login.requests": 40 + 7 * (number % 5),
                "auth/login.client_errors": number % 4,
                "auth/signup.requests": number % 6,
                "leads/create.server_errors": int(number == 11),
                "leads/create.requests": 9,
            }
        )
        registers = dict.fromkeys(range(number % 8 + 5), 1)
        with deadline(20):
            add(store, Addition(day=day, counts=counts, registers=registers), FAR)
