"""What happened to a cluster in the last hours: seen in its snapshots, or noted by itself.

A snapshot tells more than what is: since when a primary is one, since when a server runs, what the
config servers have noted. So little of what happens between two is missed: the first of two
elections of a set, and a server that was silent and did not end.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Iterator
from dataclasses import replace

from cluster.exporter.kept import Kept
from cluster.exporter.snapshot import Change, Event, Server, SetView, Snapshot, term_of

LAST_SECONDS = 12 * 3600.0
MOST = 20
"""Events of one kind that are told of: the newest."""
CLOCKS_DIFFER = 2.0
"""Seconds by which a server may seem to have been started later than it was."""
MOVED = {"moveChunk.commit": "a chunk", "movePrimary.commit": "the database"}
OF_SHARDS = {
    "addShard": "was added",
    "removeShard.start": "is being removed",
    "removeShard": "was removed",
}

Told = tuple[Hashable, Event]
"""An event, and what makes it the same one when it is seen again."""


class Timeline:
    """Remembers what happened; it is shown each snapshot, one after the other."""

    def __init__(self) -> None:
        self._events: dict[Hashable, Event] = {}
        self._started: dict[str, float] = {}
        """When each server was started, as it was last seen."""
        self._silent: dict[str, float] = {}
        """Since when each server is silent that is."""

    def add(self, snapshot: Snapshot) -> Snapshot:
        """The snapshot, with what happened until then."""
        for view in snapshot.sets:
            self._events.update(_elections(view))
        for server in snapshot.servers:
            self._events.update(self._comings_and_goings(server, snapshot.at))
        if snapshot.catalogue:
            self._events.update(_moves(snapshot.catalogue.changes))
            self._events.update(_shards(snapshot.catalogue.changes))
        self._events.update(_kept(snapshot.kept))
        self._forget(snapshot.at - LAST_SECONDS)
        return replace(snapshot, timeline=tuple(self._events.values()))

    def _comings_and_goings(self, server: Server, at: float) -> Iterator[Told]:
        name = server.node.name
        set_name = server.replica_set.name if server.replica_set else None
        silent = self._silent.get(name)
        if not server.answers:
            if silent is None:
                self._silent[name] = at
                text = f"{name} does not answer: {server.error}"
                yield (name, "down", at), Event(at, "down", text, set_name)
            return
        started = at - float(server.answers["serverStatus"]["uptimeMillis"]) / 1000
        if started - self._started.get(name, started) > CLOCKS_DIFFER:
            since, text = max(started, silent or 0), f"{name} was started again"
            yield (name, "up", at), Event(since, "up", text, set_name)
        elif silent is not None:
            yield (name, "up", at), Event(at, "up", f"{name} answers again", set_name)
        self._started[name] = started
        self._silent.pop(name, None)

    def _forget(self, before: float) -> None:
        """Keep the newest events of each kind, in the order of time."""
        count: Counter[str] = Counter()
        kept: list[Told] = []
        for key, event in sorted(self._events.items(), key=lambda told: -told[1].at):
            count[event.kind] += 1
            if event.at >= before and count[event.kind] <= MOST:
                kept.append((key, event))
        self._events = dict(reversed(kept))


def _elections(view: SetView) -> Iterator[Told]:
    """The last election of a set."""
    if view.primary and view.elected:
        name = view.replica_set.name
        text = f"{view.primary.node.name} was elected, in term {term_of(view.primary)}"
        yield (name, view.elected), Event(view.elected, "election", text, name)


def _moves(changes: Iterable[Change]) -> Iterator[Told]:
    """What moved from shard to shard; several chunks of a collection in one minute are one."""
    count: Counter[Hashable] = Counter()
    for one in changes:  # the newest first
        if (what := MOVED.get(one.what)) is None:
            continue
        source, target = one.details.get("from"), one.details.get("to")
        key = (one.what, one.namespace, source, target, one.at.replace(second=0, microsecond=0))
        count[key] += 1
        if count[key] > 1:
            what = f"{count[key]} chunks"
        text = f"{what} of {one.namespace} moved from {source} to {target}"
        yield key, Event(one.at.timestamp(), "migration", text, str(target))


def _shards(changes: Iterable[Change]) -> Iterator[Told]:
    """Which shards came and went."""
    for one in changes:
        if one.what in OF_SHARDS:
            name = str(one.details.get("name") or one.details.get("shard"))
            text = f"{name} {OF_SHARDS[one.what]}"
            yield (one.what, name, one.at), Event(one.at.timestamp(), "shard", text, name)


def _kept(kept: Kept) -> Iterator[Told]:
    """Backups and drills."""
    for backup in kept.backups or ():
        event = Event(backup.taken.timestamp(), "backup", f"backup {backup.name}")
        yield ("backup", backup.name), event
    for run in kept.runs:
        text = f"drill: {run.title}: {run.says}"
        yield ("drill", run.name), Event(run.began.timestamp(), "drill", text)
