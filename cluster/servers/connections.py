"""Connections to single servers: to a member as the cluster itself, to a router as a user.

Whoever holds the cluster's key may log in to any member as `__system`, the servers' own user
(authSource `local`, password = the key file without white space). That is needed only where no
router can help: for a set that has yet to be made, for the first user, and to look at one member.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import quote

from pymongo import MongoClient
from pymongo.errors import AutoReconnect, OperationFailure, PyMongoError

from cluster.errors import ClusterError, KeyFileError
from cluster.model.layout import Layout, Node
from cluster.model.users import application
from cluster.servers.waiting import Cancelled, Waiter

T = TypeVar("T")
Client = MongoClient[dict[str, Any]]

AUTHENTICATION_FAILED = 18
# Codes that a moment later may be gone: elections, members that start or stop, moving data.
TRANSIENT = {
    6,
    7,
    11,
    50,
    64,
    70,
    74,
    89,
    91,
    112,
    117,
    125,
    133,
    189,
    194,
    202,
    262,
    308,
    314,
    9001,
}
TRANSIENT |= {10058, 10107, 11600, 11602, 13388, 13435, 13436}


class Connections:
    """Clients by node, opened when first asked for and closed together; safe among threads.

    `timeout` is in seconds and bounds choosing, connecting and each answer. `tls_ca` is the file of
    the authority that signed the nodes' certificates; None: they speak without TLS. `most`
    connections are open to one node, besides the one that watches it; the others wait.
    """

    def __init__(
        self, key: str, timeout: float = 10, tls_ca: Path | None = None, most: int | None = None
    ) -> None:
        self._key = key
        self._tls: dict[str, Any] = {"tls": True, "tlsCAFile": str(tls_ca)} if tls_ca else {}
        milliseconds = int(timeout * 1000)
        self._options: dict[str, Any] = {
            "directConnection": True,
            "serverSelectionTimeoutMS": milliseconds,
            "connectTimeoutMS": milliseconds,
            "socketTimeoutMS": milliseconds,
            "serverMonitoringMode": "poll",
            **({} if most is None else {"maxPoolSize": most}),
        }
        self._lock = threading.Lock()
        self._clients: dict[tuple[str, str], Client] = {}
        self._closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close all of them; who asks for one later is cancelled."""
        with self._lock:
            clients = list(self._clients.values())
            self._clients.clear()
            self._closed = True
        for client in clients:
            client.close()

    def member(self, node: Node) -> Client:
        """A direct connection to one mongod as `__system`."""
        return self._client(node, "__system", self._key, "local")

    def user(self, node: Node, user: str, password: str) -> Client:
        """A connection to one node (a router, or a config server) as one of the users."""
        return self._client(node, user, password, "admin")

    def stranger(self, node: Node, *, tls: bool = True) -> Client:
        """A client of somebody without a credential, which the caller closes; without TLS if told.

        `tls` says nothing where the nodes speak without it.
        """
        return MongoClient(node.host, node.port, **self._options, **(self._tls if tls else {}))

    def _client(self, node: Node, user: str, password: str, source: str) -> Client:
        with self._lock:
            if self._closed:
                raise Cancelled
            client = self._clients.get((node.name, user))
            if client is None:
                client = MongoClient(
                    node.host,
                    node.port,
                    username=user,
                    password=password,
                    authSource=source,
                    authMechanism="SCRAM-SHA-256",
                    appname="shardstack",
                    **self._options,
                    **self._tls,
                )
                self._clients[node.name, user] = client
            return client


def listens(node: Node, timeout: float = 1) -> bool:
    """Whether something accepts connections at the node's address."""
    try:
        with socket.create_connection((node.host, node.port), timeout):
            return True
    except OSError:
        return False


def refused(error: PyMongoError) -> bool:
    """Whether a log-in failed, as opposed to everything else."""
    return isinstance(error, OperationFailure) and error.code == AUTHENTICATION_FAILED


def wrong_key(node: Node) -> KeyFileError:
    """The error for a member that does not accept the cluster's key."""
    return KeyFileError(
        f"{node.name} ({node.address}) refuses the key file: it runs with another one. Put that "
        "one back; or stop every node and start them all with the same key file (`down`, `up`)."
    )


def short(error: PyMongoError) -> str:
    """The part of a driver's message that a person can use."""
    if isinstance(error, OperationFailure):
        details = error.details or {}
        return str(details.get("errmsg") or error)
    return str(error).split(" (configured timeouts", maxsplit=1)[0].split(", Timeout:")[0]


def is_transient(error: PyMongoError) -> bool:
    """Whether what failed so may succeed when it is tried again a moment later."""
    if isinstance(error, OperationFailure):
        labels = error.has_error_label("RetryableWriteError")
        return labels or error.code in TRANSIENT
    return isinstance(error, AutoReconnect) or error.timeout


def refusal(node: Node, error: PyMongoError) -> ClusterError:
    """The error for a server that will not do something, however often it is asked."""
    return ClusterError(f"{node.name} ({node.address}) refuses: {short(error)}. Look at its log.")


def insist(
    waiter: Waiter,
    act: Callable[[], T],
    refuse: Callable[[PyMongoError], Exception],
    explain: Callable[[str], str],
) -> T:
    """Does something idempotent until it is done: again as long as what fails is transient.

    Raises refuse(error) for any other failure, DeadlineError(explain(the last one)) when it is
    too late.
    """
    last = ""

    def attempt() -> tuple[T] | None:
        nonlocal last
        try:
            return (act(),)
        except PyMongoError as error:
            if not is_transient(error):
                raise refuse(error) from None
            last = short(error)
            return None

    return waiter.until(attempt, lambda: explain(last))[0]


@dataclass(frozen=True)
class Access:
    """What it takes to reach the servers of a cluster, whoever runs them.

    Where the nodes listen, the servers' key, the users' passwords; made and kept by the caller.

    `tls_ca` is the file of the authority that signed the servers' certificates; None: no TLS.
    """

    layout: Layout
    key: str
    passwords: Mapping[str, str]
    tls_ca: Path | None = None

    def connections(self, timeout: float = 10, most: int | None = None) -> Connections:
        """Connections to single nodes; `timeout` in seconds, for each answer. `most` of one."""
        return Connections(self.key, timeout, self.tls_ca, most)

    def uri(self, user: str) -> str:
        """A user's connection string through all routers, password included.

        For "app" it is that of whom the application is now.
        """
        hosts = ",".join(router.address for router in self.layout.routers)
        database = self.layout.database if user == "app" else ""
        tls = f"&tls=true&tlsCAFile={quote(str(self.tls_ca), safe='')}" if self.tls_ca else ""
        name = application(self.passwords) if user == "app" else user
        return f"mongodb://{name}:{self.passwords[name]}@{hosts}/{database}?authSource=admin{tls}"
