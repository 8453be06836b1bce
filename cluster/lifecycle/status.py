"""What a cluster is at this moment, asked of its members and routers, whoever runs them.

`inspect` asks. It does not fail because something is down: what cannot be asked is reported as
such, and `problems` lists, in plain words, all that is not as it should be. `show` prints it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from pymongo.errors import PyMongoError

from cluster.model.layout import Layout, Node, ReplicaSet
from cluster.servers.balancer import Holder, read_holder
from cluster.servers.census import ShardCatalogue, ask, count_documents, read_catalogue, state_of
from cluster.servers.connections import Access, Client, Connections, listens, short
from cluster.servers.exposure import Exposure, exposure, notes, problems
from cluster.servers.routers import is_stand_in, router_kind, why_not_serving
from cluster.servers.writable import hindrance

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

TIMEOUT = 2.5  # seconds for each answer


@dataclass
class MemberStatus:
    """One mongod. `lag_seconds` is how far it is behind the primary, None when nobody knows;
    `hindrance` says what keeps it from taking writes, None when nothing does; `exposure` None when
    it cannot be asked; `pid` and `rss_mib` are filled in by whoever runs the process."""

    name: str
    address: str
    state: str
    lag_seconds: float | None = None
    hindrance: str | None = None
    exposure: Exposure | None = None
    pid: int | None = None
    rss_mib: int | None = None


@dataclass
class SetStatus:
    """One replica set; `primary` is a node's name or None."""

    name: str
    is_config: bool
    primary: str | None
    members: list[MemberStatus]


@dataclass
class CollectionStatus:
    """One collection's part on one shard; `documents` counts orphans, too."""

    namespace: str
    sharded: bool
    chunks: int
    documents: int


@dataclass
class ShardStatus:
    """One shard. Numbers are None when the shard or the config servers cannot be asked.

    `added` is whether the cluster has it, as the config servers say: one that is described may not
    be added yet, or be removed already. None when they cannot be asked.
    """

    name: str
    added: bool | None
    draining: bool
    chunks: int | None
    documents: int | None
    collections: list[CollectionStatus]


@dataclass
class RouterStatus:
    """One router; `kind` is "mongos 8.0.4" or "stand-in router (MongoDB 6.0.5)", None if down;
    `error` why it does not serve.

    The stand-in has no `exposure`: no localhost exception, and no compression.
    """

    name: str
    address: str
    kind: str | None
    error: str | None = None
    exposure: Exposure | None = None
    pid: int | None = None
    rss_mib: int | None = None


@dataclass
class ClusterStatus:
    """The whole cluster; `balancer` is on, off or unknown, `balancing` whether it moves something,
    `balancer_holder` the command that has it switched off.

    `notes` are what one should know of a cluster that is well.
    """

    healthy: bool = False
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    sets: list[SetStatus] = field(default_factory=list)
    shards: list[ShardStatus] = field(default_factory=list)
    routers: list[RouterStatus] = field(default_factory=list)
    balancer: str = "unknown"
    balancing: bool | None = None
    balancer_holder: Holder | None = None


def inspect(access: Access, user: str = "monitor") -> ClusterStatus:
    """Asks all servers in parallel; takes as long as the slowest answer, at most a few timeouts.

    `user` needs the role clusterMonitor. Raises KeyFileError when no member accepts the key.
    """
    found = ClusterStatus()
    layout, password = access.layout, access.passwords[user]
    with access.connections(TIMEOUT) as connections, ThreadPoolExecutor(32) as pool:
        sets = [pool.submit(_set, connections, s) for s in layout.sets]
        routers = [pool.submit(_router, connections, r, user, password) for r in layout.routers]
        catalogue = pool.submit(read_catalogue, connections, layout)
        counts = {s.name: pool.submit(count_documents, connections, s) for s in layout.shards}
        found.sets = [future.result() for future in sets]
        found.routers = [future.result() for future in routers]
        known = catalogue.result()
        if known:
            found.balancer = known.balancer
            found.balancing = _balancing(connections, layout, user, password)
        found.balancer_holder = _holder(connections, layout, known)
        found.shards = [_shard(s.name, known, counts[s.name].result()) for s in layout.shards]
    shown = _exposures(found)
    found.problems = [*_problems(layout, found, known), *problems(shown)]
    found.notes = list(notes(shown))
    found.healthy = not found.problems
    return found


# ---- members -----------------------------------------------------------------------------------


def _set(connections: Connections, replica_set: ReplicaSet) -> SetStatus:
    with ThreadPoolExecutor(len(replica_set.members)) as pool:
        members = list(pool.map(lambda node: _member(connections, node), replica_set.members))
    primary = next((member.name for member in members if member.state == "PRIMARY"), None)
    for node, member in zip(replica_set.members, members, strict=True):
        # The primary knows most; without one, any member's view of the others is good enough.
        if member.state == "PRIMARY" or (primary is None and member.state == "SECONDARY"):
            _add_view(connections, node, members)
            break
    return SetStatus(replica_set.name, replica_set.is_config, primary, members)


def _member(connections: Connections, node: Node) -> MemberStatus:
    member = MemberStatus(node.name, node.address, state_of(connections, node))
    if member.state in ("PRIMARY", "SECONDARY"):
        client = connections.member(node)
        member.exposure = _exposure(client)
        with contextlib.suppress(PyMongoError):
            member.hindrance = hindrance(client)
    return member


def _exposure(client: Client) -> Exposure | None:
    try:
        return exposure(client)
    except PyMongoError:
        return None


def _add_view(connections: Connections, node: Node, members: list[MemberStatus]) -> None:
    try:
        view = connections.member(node).admin.command("replSetGetStatus")
    except PyMongoError:
        return
    by_address = {m["name"]: m for m in view["members"]}
    newest = max(m["optimeDate"] for m in view["members"] if "optimeDate" in m)
    for member in members:
        seen = by_address.get(member.address)
        if seen is None:
            continue
        if member.state == "starting or recovering":
            member.state = seen["stateStr"]
        if "optimeDate" in seen and seen.get("health") == 1:
            member.lag_seconds = (newest - seen["optimeDate"]).total_seconds()


# ---- routers -----------------------------------------------------------------------------------


def _router(connections: Connections, node: Node, user: str, password: str) -> RouterStatus:
    status = RouterStatus(node.name, node.address, None)
    if not listens(node):
        status.error = "not listening"
        return status
    client = connections.user(node, user, password)
    try:
        build_info = client.admin.command("buildInfo")
    except PyMongoError as error:
        status.error = short(error)
        return status
    status.kind = router_kind(build_info)
    if not is_stand_in(build_info):
        status.exposure = _exposure(client)
    status.error = why_not_serving(connections, node, user, password) or None
    return status


def _balancing(connections: Connections, layout: Layout, user: str, password: str) -> bool | None:
    for node in layout.routers:
        if listens(node):
            try:
                client = connections.user(node, user, password)
                return bool(client.admin.command("balancerStatus")["inBalancerRound"])
            except PyMongoError:
                continue
    return None


def _holder(
    connections: Connections, layout: Layout, known: ShardCatalogue | None
) -> Holder | None:
    home = known.homes.get("cluster") if known else None
    for shard in layout.shards:
        if shard.name == home:
            return ask(connections, shard, read_holder)
    return None


# ---- data --------------------------------------------------------------------------------------


def _shard(name: str, known: ShardCatalogue | None, counts: dict[str, int] | None) -> ShardStatus:
    chunks = {ns: n for (shard, ns), n in known.chunks.items() if shard == name} if known else {}
    collections = [
        CollectionStatus(
            namespace,
            bool(known and namespace in known.sharded),
            chunks.get(namespace, 0),
            (counts or {}).get(namespace, 0),
        )
        for namespace in sorted({*chunks, *(counts or {})} - {"config.system.sessions"})
    ]
    return ShardStatus(
        name,
        name in known.shards if known else None,
        bool(known and known.shards.get(name)),
        sum(chunks.values()) if known else None,
        sum(counts.values()) if counts is not None else None,
        collections,
    )


# ---- verdict -----------------------------------------------------------------------------------


def _exposures(found: ClusterStatus) -> dict[str, Exposure]:
    members = [member for replica_set in found.sets for member in replica_set.members]
    servers: list[MemberStatus | RouterStatus] = [*members, *found.routers]
    return {server.name: server.exposure for server in servers if server.exposure}


def _set_problems(replica_set: SetStatus) -> Iterator[str]:
    if replica_set.primary is None:
        yield f"{replica_set.name} has no primary: it takes no writes"
    for member in replica_set.members:
        if member.state not in ("PRIMARY", "SECONDARY"):
            yield f"{member.name}: {member.state}"
        if member.hindrance:
            yield f"{member.name} is {member.hindrance}"


def _problems(layout: Layout, found: ClusterStatus, known: ShardCatalogue | None) -> Iterator[str]:
    for replica_set in found.sets:
        yield from _set_problems(replica_set)
    # A router that lists the databases asks the config servers; what it knows it serves without.
    configured = any(one.primary for one in found.sets if one.is_config)
    for router in found.routers:
        if router.error and router.kind and not configured:
            yield f"{router.name} serves no more than it knows: the config servers are down"
        elif router.error:
            answers = "it answers, but not for every shard: " if router.kind else ""
            yield f"{router.name} does not serve: {answers}{router.error}"
    if found.balancer_holder and found.balancer_holder.died:
        yield f"{found.balancer_holder.purpose} died and left the balancer off: run `up`"
    if known is None:
        yield "the config servers cannot be read: nothing is known about the shards"
        return
    for shard in layout.shards:
        if shard.name not in known.shards:
            yield f"{shard.name} is not part of the cluster: run `up`"
    for name, draining in known.shards.items():
        if draining:
            yield f"{name} is being removed: run `remove-shard {name}` to finish"


# ---- for people --------------------------------------------------------------------------------

GOOD = {"PRIMARY": "bold green", "SECONDARY": "green"}
NARROWEST = 80
"""Columns that the tables need. A narrower terminal breaks their lines; nothing is cut off."""


def show(found: ClusterStatus, console: Console | None = None) -> None:
    """One line that sums it up, tables of members, shards and routers, and what is wrong."""
    from rich.console import Console  # noqa: PLC0415 - slow to import, and --json needs it not

    console = console or Console(highlight=False)
    console.width = max(console.width, NARROWEST) if console.is_terminal else 120
    console.print(f" {_summary(found)}")
    for table in (_members(found), _shards(found), _routers(found)):
        console.print(table)
    for note in found.notes:
        console.print(f" [yellow]{note}[/yellow]")
    for problem in found.problems:
        console.print(f" [red]{problem}[/red]")


def _summary(found: ClusterStatus) -> str:
    up = sum(member.state in GOOD for one in found.sets for member in one.members)
    members = sum(len(one.members) for one in found.sets)
    routers = sum(router.error is None for router in found.routers)
    counts = (
        f"{_count(len(found.shards), 'shard')}, {up} of {members} members in service, {routers} of "
        f"{len(found.routers)} routers serve, balancer {found.balancer}"
    )
    busy = f" for {found.balancer_holder.purpose}" if found.balancer_holder else ""
    busy += ", moving a chunk" if found.balancing else ""
    if found.healthy:
        return f"[green]all is well[/green]: {counts}{busy}"
    return f"[red]{_count(len(found.problems), 'problem')}[/red]: {counts}{busy}"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number != 1)}"


def _table(*columns: str) -> Table:
    from rich.box import SIMPLE_HEAD  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415

    table = Table(box=SIMPLE_HEAD, pad_edge=True)
    for column in columns:
        numeric = column.removeprefix("!")
        side: Literal["right", "left"] = "right" if column.startswith("!") else "left"
        table.add_column(numeric, justify=side, no_wrap=numeric != "serves")
    return table


def _members(found: ClusterStatus) -> Table:
    table = _table("member", "address", "state", "!lag", "!pid", "!RSS")
    for replica_set in found.sets:
        for member in replica_set.members:
            style = GOOD.get(member.state, "red")
            lag = "" if member.lag_seconds is None else f"{member.lag_seconds:.0f} s"
            table.add_row(
                member.name,
                member.address,
                f"[{style}]{member.state}[/{style}]",
                lag,
                _pid(member.pid),
                _mib(member.rss_mib),
            )
        table.add_section()
    return table


def _shards(found: ClusterStatus) -> Table:
    table = _table("shard", "collection", "!chunks", "!documents")
    for shard in found.shards:
        note = " (draining)" if shard.draining else ""
        table.add_row(shard.name + note, "all", _text(shard.chunks), _text(shard.documents))
        for collection in shard.collections:
            chunks = str(collection.chunks) if collection.sharded else "unsharded"
            table.add_row("", collection.namespace, chunks, str(collection.documents))
        table.add_section()
    return table


def _routers(found: ClusterStatus) -> Table:
    table = _table("router", "address", "serves", "!pid", "!RSS")
    for router in found.routers:
        kind = f"[red]{router.error}[/red]" if router.error else router.kind or ""
        table.add_row(router.name, router.address, kind, _pid(router.pid), _mib(router.rss_mib))
    return table


def _text(value: int | None) -> str:
    return "?" if value is None else f"{value:,}"


def _pid(value: int | None) -> str:
    return "" if value is None else str(value)


def _mib(value: int | None) -> str:
    return "" if value is None else f"{value} MiB"
