"""A snapshot for who draws it: the cluster, its sets and servers, in plain JSON."""

from __future__ import annotations

from typing import Any

from cluster.exporter.snapshot import Server, SetView, Snapshot


def picture(snapshot: Snapshot) -> dict[str, Any]:
    """The cluster as JSON takes it; null where nothing is known. Times in seconds since 1970."""
    known = snapshot.catalogue
    return {
        "at": round(snapshot.at, 3),
        "sets": [_set(view) for view in snapshot.sets],
        "routers": [_server(one) for one in snapshot.routers],
        "shards": _shards(snapshot),
        "balancer": known.shards.balancer if known else None,
        "events": dict(known.events(snapshot.recently)) if known else None,
        "problems": problems(snapshot),
        "timeline": [
            {"at": round(one.at, 3), "kind": one.kind, "set": one.set_name, "text": one.text}
            for one in snapshot.timeline
        ],
    }


def problems(snapshot: Snapshot) -> list[str]:
    """What is not as it should be, a line each."""
    lines = []
    for view in snapshot.sets:
        name = view.replica_set.name
        if view.primary is None:
            lines.append(f"{name} has no primary: it takes no writes")
        if view.survives == 0 and len(view.members) > 1:
            lines.append(f"{name} survives no further loss")
    lines += [f"{one.node.name}: {one.error}" for one in snapshot.servers if one.error]
    if snapshot.catalogue is None:
        lines.append("the config servers cannot be read: nothing is known about the shards")
    return lines


def _set(view: SetView) -> dict[str, Any]:
    return {
        "name": view.replica_set.name,
        "is_config": view.replica_set.is_config,
        "primary": view.primary.node.name if view.primary else None,
        "elected_at": view.elected,
        "has_majority": view.survives >= 0,
        "survives_losses": max(0, view.survives),
        "members": [_member(one, view) for one in view.members],
    }


def _member(server: Server, view: SetView) -> dict[str, Any]:
    """A member. `queues`: operations that wait for a lock. `storage_bytes`: data and indexes."""
    queues = server.answers.get("serverStatus", {}).get("globalLock", {}).get("currentQueue")
    stored = [one.document["totalSize"] for one in server.held if one.path == "dbstats"]
    return {
        **_server(server),
        "state": server.state,
        "lag_seconds": _lag(server, view),
        "queues": {name: queues[name] for name in ("readers", "writers")} if queues else None,
        "storage_bytes": int(sum(stored)) if stored else None,
    }


def _lag(server: Server, view: SetView) -> float | None:
    """Seconds behind the newest entry that any member has."""
    ends = [one.oplog[1] for one in view.members if one.oplog]
    return None if server.oplog is None or not ends else float(max(ends) - server.oplog[1])


def _server(server: Server) -> dict[str, Any]:
    status = server.answers.get("serverStatus", {})
    operations = status.get("opcounters")
    return {
        "name": server.node.name,
        "address": server.node.address,
        "up": bool(server.answers),
        "error": server.error or None,
        "version": status.get("version"),
        "uptime_seconds": status.get("uptime"),
        "connections": status.get("connections", {}).get("current"),
        "operations": dict(operations) if operations else None,
    }


def _shards(snapshot: Snapshot) -> list[dict[str, Any]] | None:
    known = snapshot.catalogue
    if known is None:
        return None
    return [
        {
            "name": name,
            "draining": draining,
            "chunks": known.chunks(name),
            "collections": known.collections(name).total(),
        }
        for name, draining in known.shards.shards.items()
    ]
