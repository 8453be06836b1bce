"""Prints a status for people."""

from __future__ import annotations

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from cluster.status import ClusterStatus

GOOD = {"PRIMARY": "bold green", "SECONDARY": "green"}


def show(found: ClusterStatus) -> None:
    """Tables of members, shards and routers, the balancer, then what is wrong."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = 120  # into a pipe nothing shall be cut off
    for table in (_members(found), _shards(found), _routers(found)):
        console.print(table)
    moving = ", moving a chunk" if found.balancing else ""
    holder = f" for {found.balancer_holder.purpose}" if found.balancer_holder else ""
    console.print(f" balancer {found.balancer}{holder}{moving}")
    if found.healthy:
        console.print(" [green]all is well[/green]")
    for note in found.notes:
        console.print(f" [yellow]{note}[/yellow]")
    for problem in found.problems:
        console.print(f" [red]{problem}[/red]")


def _table(*columns: str) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=True)
    for column in columns:
        numeric = column.removeprefix("!")
        table.add_column(numeric, justify="right" if column.startswith("!") else "left")
    return table


def _members(found: ClusterStatus) -> Table:
    table = _table("set", "role", "member", "address", "state", "!lag", "!pid", "!RSS")
    for replica_set in found.sets:
        role = "config" if replica_set.is_config else "shard"
        for member in replica_set.members:
            style = GOOD.get(member.state, "red")
            lag = "" if member.lag_seconds is None else f"{member.lag_seconds:.0f} s"
            table.add_row(
                replica_set.name,
                role,
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
