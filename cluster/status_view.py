"""Prints a status for people."""

from __future__ import annotations

from typing import Literal

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from cluster.status import ClusterStatus

GOOD = {"PRIMARY": "bold green", "SECONDARY": "green"}


NARROWEST = 80
"""Columns that the tables need. A narrower terminal breaks their lines; nothing is cut off."""


def show(found: ClusterStatus, console: Console | None = None) -> None:
    """One line that sums it up, tables of members, shards and routers, and what is wrong."""
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
    routers = sum(router.kind is not None for router in found.routers)
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
        kind = router.kind or f"[red]{router.error}[/red]"
        table.add_row(router.name, router.address, kind, _pid(router.pid), _mib(router.rss_mib))
    return table


def _text(value: int | None) -> str:
    return "?" if value is None else f"{value:,}"


def _pid(value: int | None) -> str:
    return "" if value is None else str(value)


def _mib(value: int | None) -> str:
    return "" if value is None else f"{value} MiB"
