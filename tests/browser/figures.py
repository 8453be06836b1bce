"""What the API tells of a cluster and of its own use, to be drawn."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

AT = 1_795_800_000.0  # seconds since 1970


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
    "balancer": True,
    "events": {"moveChunk.commit": 3},
    "problems": ["shard-2 has no primary: it takes no writes", "shard-1-3: connection refused"],
    "timeline": [
        {"at": AT - 7200, "kind": "backup", "set": None, "text": "A backup was made"},
        {"at": AT - 600, "kind": "drill", "set": "shard-1", "text": "primary-killed: passed"},
        {"at": AT - 30, "kind": "down", "set": "shard-2", "text": "shard-2-1 does not answer"},
        {"at": AT - 28, "kind": "election", "set": "shard-1", "text": "shard-1-2 is primary"},
    ],
}


def _day(number: int) -> dict[str, Any]:
    requests = 4000 + 700 * (number % 7)
    return {
        "day": str(date(2026, 11, 1) + timedelta(number)),
        "sign_ups": number % 5,
        "log_ins": 10 + number % 11,
        "active_users": 8 + number % 6,
        "requests": requests,
        "client_errors": number % 9,
        "server_errors": int(number == 11),
        "routes": [
            {"route": route, "requests": requests // part, "client_errors": 1, "server_errors": 0}
            for route, part in (("users.list", 2), ("auth.login", 4))
        ],
    }


ANALYTICS: dict[str, Any] = {"days": [_day(number) for number in range(27)]}
