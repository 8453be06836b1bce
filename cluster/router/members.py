"""Who is primary of a replica set, known as soon as any of its members knows.

Every member is asked ``hello`` with ``topologyVersion``, which it answers only when something has
changed; so an election is seen within milliseconds and costs nothing while nothing happens.
Source: https://github.com/mongodb/specifications (server discovery and monitoring)
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from typing import Any

from bson.objectid import ObjectId

from cluster.router.connections import Connection, Connector
from cluster.router.errors import CommandError, GoneError, HostError

log = logging.getLogger(__name__)

AWAIT_SECONDS = 3.0
GRACE_SECONDS = 3.0
"""A member that stands still, or is cut off, is noticed after 3 to 6 s, unless others notice it
first: they have the election timeout for that."""
RECONNECT_SECONDS = 0.1
Abort = Callable[[str, str], None]


def parse_set(text: str) -> tuple[str, list[str]]:
    """Split ``name/host:port,host:port`` into name and hosts.

    Raises:
        ValueError: it has another form.
    """
    name, slash, rest = text.partition("/")
    hosts = [host.strip() for host in rest.split(",") if host.strip()]
    if not (name and slash and hosts):
        raise ValueError(f"{text!r} is not of the form set/host:port,host:port")
    for host in hosts:
        machine, _, port = host.rpartition(":")
        if not (machine and port.isdecimal() and 0 < int(port) < 65536):
            raise ValueError(f"{host!r} is not of the form host:port")
    return name, hosts


class WatchedSet:
    """A set as its own members describe it: hosts, states, the primary of the newest election."""

    def __init__(self, name: str, seeds: list[str], connector: Connector, abort: Abort) -> None:
        """``abort(host, why)`` is called when calls in flight to a host cannot succeed any more."""
        self.name = name
        self.primary: str | None = None
        self._connector = connector
        self._abort = abort
        self._served = ""
        """The host that was primary last: calls may wait for it even when it is in doubt."""
        self._election: ObjectId | None = None
        self._states: dict[str, str] = {}
        self._monitors: dict[str, asyncio.Task[None]] = {}
        self._check: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()
        self._closed = False
        self._watch(seeds)

    def describe(self) -> str:
        """One line for an error: every member with the state that it was last seen in."""
        members = (f"{host} {self._states.get(host, 'not seen')}" for host in self._monitors)
        return f"{self.name}: {', '.join(members)}"

    async def wait_for_primary(self, seconds: float) -> str:
        """Return the primary's ``host:port``.

        Raises:
            CommandError: 133, when none is known in time; says which member is in which state.
            GoneError: the set has left the cluster.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(seconds, 0)):
                while self.primary is None and not self._closed:
                    await self.wait_for_change()
        if self._closed:
            raise GoneError(f"shard {self.name} has left the cluster")
        if self.primary is not None:
            return self.primary
        raise CommandError(133, f"no primary within {seconds:.0f} s in {self.describe()}")

    async def wait_for_change(self) -> None:
        """Return when any member reports something new."""
        await self._changed.wait()

    def doubt(self, host: str) -> None:
        """A call found that `host` is not the primary, or not there: ask it immediately."""
        if self.primary == host:
            self.primary = None
            if self._check is None or self._check.done():
                self._check = asyncio.create_task(self._ask(host))

    async def _ask(self, host: str) -> None:
        try:
            async with asyncio.timeout(GRACE_SECONDS):
                connection = await self._connector.open(host)
                try:
                    self._heard(host, await connection.call({"hello": 1, "$db": "admin"}))
                finally:
                    connection.abort("asked")
        except (HostError, TimeoutError) as error:
            self._lost(host, error)

    def close(self) -> None:
        """Stop watching; who waits for a primary waits no longer."""
        self._closed = True
        for task in self._monitors.values():
            task.cancel()
        if self._check is not None:
            self._check.cancel()
        self._monitors.clear()
        self._announce()

    def _watch(self, hosts: list[str]) -> None:
        for host in hosts:
            if host not in self._monitors:
                self._monitors[host] = asyncio.create_task(self._monitor(host))

    async def _monitor(self, host: str) -> None:
        connection: Connection | None = None
        hello: dict[str, Any] = {"hello": 1, "$db": "admin"}
        try:
            while True:
                command = hello
                try:
                    async with asyncio.timeout(AWAIT_SECONDS + GRACE_SECONDS):
                        connection = connection or await self._connector.open(host)
                        reply = await connection.call(command)
                    version = reply.get("topologyVersion")
                    wait = {"topologyVersion": version, "maxAwaitTimeMS": int(AWAIT_SECONDS * 1000)}
                    hello = {"hello": 1, "$db": "admin", **(wait if version else {})}
                    self._heard(host, reply)
                except (HostError, TimeoutError) as error:
                    if connection is not None:
                        connection.abort("no answer")
                    connection, hello = None, {"hello": 1, "$db": "admin"}
                    self._lost(host, error)
                if connection is None or "topologyVersion" not in hello:
                    await asyncio.sleep(RECONNECT_SECONDS)
        finally:
            if connection is not None:
                connection.abort("the monitor stops")

    def _heard(self, host: str, reply: dict[str, Any]) -> None:
        if reply.get("setName") not in (None, self.name):
            self._states[host] = f"belongs to {reply['setName']}"
        elif reply.get("isWritablePrimary"):
            self._states[host] = "PRIMARY"
            self._elect(host, reply)
        else:
            if self.primary == host:
                self.primary = None
            kinds = {"secondary": "SECONDARY", "arbiterOnly": "ARBITER", "isreplicaset": "NEW"}
            found = (state for field, state in kinds.items() if reply.get(field))
            self._states[host] = next(found, "OTHER")
        if self.primary in (None, host):
            self._watch(reply.get("hosts", []))
        self._announce()

    def _elect(self, host: str, reply: dict[str, Any]) -> None:
        election = reply.get("electionId")
        if self._election is not None and election is not None and election < self._election:
            return  # a primary that has not yet heard of its successor
        self._election = election
        self.primary = host
        if self._served != host:
            previous, self._served = self._served, host
            log.info("%s: %s is primary", self.name, host)
            if previous:
                self._abort(previous, f"{host} is the primary now")
        current = reply.get("hosts", [])
        for gone in [known for known in self._monitors if known not in current]:
            self._monitors.pop(gone).cancel()
            self._states.pop(gone, None)

    def _lost(self, host: str, error: Exception) -> None:
        why = str(error).removeprefix(f"{host}: ") or "no answer in time"
        state = f"unreachable ({why})"
        if self._states.get(host) != state:
            log.info("%s: %s is %s", self.name, host, state)
        self._states[host] = state
        if self.primary == host:
            self.primary = None
        self._abort(host, "it does not answer")
        self._announce()

    def _announce(self) -> None:
        event, self._changed = self._changed, asyncio.Event()
        event.set()
