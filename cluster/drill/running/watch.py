"""Who is primary, all the time, without asking: each member tells when that changes.

A member answers a `hello` that names what is known already only once something else is true
(awaitable hello, since MongoDB 4.4). PyMongo keeps one such question open for each server that it
monitors; one client for each member, which nobody uses for anything else, is all there is here.
Source: https://github.com/mongodb/specifications, server-discovery-and-monitoring
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from bson import ObjectId
from pymongo import MongoClient
from pymongo.monitoring import (
    ServerHeartbeatFailedEvent,
    ServerHeartbeatListener,
    ServerHeartbeatStartedEvent,
    ServerHeartbeatSucceededEvent,
)

from cluster.model.layout import Node, ReplicaSet
from cluster.servers.connections import Access, Client

EVERY_MS = 500
"""Between two attempts to reach a member that does not answer; the driver's least."""
PATIENCE_MS = 2000
"""In which a member answers, or is taken for gone."""


@dataclass(frozen=True)
class Elected:
    """A member became primary. `at` is when that was known here, in monotonic nanoseconds."""

    at: int
    set_name: str
    node: str
    term: int


class Watch:
    """Watches every member of a cluster, as a context manager. `told` gets each new primary.

    Threads of the driver call `told`.
    """

    def __init__(self, access: Access, told: Callable[[Elected], None]) -> None:
        self._access = access
        self._told = told
        self._changed = threading.Condition()
        self._leading: dict[str, dict[str, int]] = {s.name: {} for s in access.layout.sets}
        self._terms: dict[str, int] = {s.name: 0 for s in access.layout.sets}
        self._since: dict[str, int] = {s.name: 0 for s in access.layout.sets}
        self._clients: list[Client] = []

    def __enter__(self) -> Self:
        for replica_set in self._access.layout.sets:
            for node in replica_set.members:
                self._clients.append(self._client(replica_set, node))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for client in self._clients:
            client.close()

    @property
    def sets(self) -> list[str]:
        """The names of the sets."""
        return list(self._terms)

    def primary(self, set_name: str) -> str | None:
        """The set's primary: of those who say so, the one of the highest term."""
        with self._changed:
            leading = self._leading[set_name]
            return max(leading, key=lambda node: leading[node], default=None)

    def term(self, set_name: str) -> int:
        """The highest term in which somebody was seen to be primary."""
        with self._changed:
            return self._terms[set_name]

    def without_primary(self) -> dict[str, float]:
        """The sets without a primary, and for how many seconds."""
        now = time.monotonic_ns()
        with self._changed:
            return {
                name: (now - self._since[name]) / 1e9
                for name, leading in self._leading.items()
                if not leading
            }

    def wait_until_known(self, seconds: float) -> bool:
        """Wait until every set has a primary; whether that came about."""
        with self._changed:
            return self._changed.wait_for(lambda: all(self._leading.values()), seconds)

    # ---- told by the driver -------------------------------------------------------------------

    def leads(self, set_name: str, node: str, term: int) -> None:
        """A member says that it is primary."""
        with self._changed:
            self._leading[set_name][node] = term
            news = term > self._terms[set_name]
            if news:
                self._terms[set_name] = term
            self._changed.notify_all()
        if news:
            self._told(Elected(time.monotonic_ns(), set_name, node, term))

    def leads_not(self, set_name: str, node: str) -> None:
        """It says that it is not, or nothing."""
        with self._changed:
            if self._leading[set_name].pop(node, None) is not None:
                self._since[set_name] = time.monotonic_ns()

    def _client(self, replica_set: ReplicaSet, node: Node) -> Client:
        tls = self._access.tls_ca
        more: dict[str, Any] = {"tls": True, "tlsCAFile": str(tls)} if tls else {}
        return MongoClient(
            node.host,
            node.port,
            directConnection=True,
            appname="shardstack drill",
            event_listeners=[_Listener(self, replica_set.name, node.name)],
            serverMonitoringMode="stream",
            heartbeatFrequencyMS=EVERY_MS,
            connectTimeoutMS=PATIENCE_MS,
            **more,
        )


class _Listener(ServerHeartbeatListener):
    def __init__(self, watch: Watch, set_name: str, node: str) -> None:
        self._watch = watch
        self._set_name = set_name
        self._node = node

    def started(self, event: ServerHeartbeatStartedEvent) -> None:
        """Ignored: a question that was sent tells nothing."""

    def succeeded(self, event: ServerHeartbeatSucceededEvent) -> None:
        hello = event.reply.document
        election = hello.get("electionId")
        if hello.get("isWritablePrimary") and isinstance(election, ObjectId):
            self._watch.leads(self._set_name, self._node, term_of(election))
        else:
            self._watch.leads_not(self._set_name, self._node)

    def failed(self, event: ServerHeartbeatFailedEvent) -> None:  # noqa: ARG002
        self._watch.leads_not(self._set_name, self._node)


def term_of(election: ObjectId) -> int:
    """The term in an electionId, whose last 8 bytes it is.

    Source: src/mongo/db/repl/replication_coordinator_impl.cpp (OID::fromTerm)
    """
    return int.from_bytes(election.binary[4:], "big")
