"""Whether a cluster is what one runs in production, statement by statement, asked of its servers.

`status` tells whether it works at this moment; this, whether it was set up as it should be.
Numbers are those of ansible/CHECKLIST.md, which names what is asked of hosts besides.
Source: https://www.mongodb.com/docs/manual/administration/production-checklist-operations/
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from pymongo.errors import OperationFailure, PyMongoError

from cluster.errors import ClusterError
from cluster.model.layout import Node, ReplicaSet
from cluster.model.users import USERS, kind
from cluster.servers.connections import Access, Client, Connections, listens, short
from cluster.servers.replica_set import configuration
from cluster.servers.routers import is_stand_in

UNAUTHORIZED = 13
TIMEOUT = 5.0  # seconds for each answer


@dataclass(frozen=True)
class Finding:
    """What one statement came to; `faults` is empty when it holds."""

    statement: int
    says: str
    faults: list[str]


def check(access: Access, left_out: Sequence[int] = ()) -> list[Finding]:
    """Asks all servers, but for what is `left_out`, by number.

    A server that does not answer is a fault of what was asked of it.
    """
    with access.connections(TIMEOUT) as connections:
        asked = _Asked(access, connections)
        return [
            Finding(number, says, list(_told(faults(asked))))
            for number, says, faults in STATEMENTS
            if number not in left_out
        ]


def _told(faults: Iterator[str]) -> Iterator[str]:
    try:
        yield from faults
    except PyMongoError as error:
        yield f"a server does not answer: {short(error)}"
    except ClusterError as error:
        yield str(error)


class _Asked:
    """The servers of one cluster, and what several statements need to know of them."""

    def __init__(self, access: Access, connections: Connections) -> None:
        self.access = access
        self.layout = access.layout
        self.connections = connections
        # Asked once: a driver that is refused tries on until its time is over.
        self.silent = _those(self.layout.nodes, lambda node: not listens(node))

    def answering(self, nodes: Sequence[Node]) -> list[Node]:
        """Those of the nodes that listen."""
        return [node for node in nodes if node not in self.silent]

    def silence(self, nodes: Sequence[Node]) -> Iterator[str]:
        """The fault of those that do not."""
        for node in nodes:
            if node in self.silent:
                yield f"{node.name} ({node.address}) does not answer"

    def router(self, node: Node) -> Client:
        return self.connections.user(node, "admin", self.access.passwords["admin"])

    @property
    def any_router(self) -> Client:
        return self.router(self._first(self.layout.routers))

    def _first(self, nodes: Sequence[Node]) -> Node:
        return next(iter([*self.answering(nodes), *nodes]))

    def server(self, node: Node) -> Client:
        is_member = self.layout.set_of(node) is not None
        return self.connections.member(node) if is_member else self.router(node)

    def configuration(self, replica_set: ReplicaSet) -> dict[str, Any]:
        return configuration(self.connections, self._first(replica_set.members))

    def options(self, node: Node) -> dict[str, Any]:
        found: dict[str, Any] = self.server(node).admin.command("getCmdLineOpts")["parsed"]
        return found


def _members(asked: _Asked) -> Iterator[str]:
    for one in asked.layout.sets:
        members = asked.configuration(one)["members"]
        votes = sum(member["votes"] for member in members)
        if votes % 2 == 0:
            yield f"{one.name} has {votes} votes, an even number"
        if votes < 3:
            yield f"{one.name} has {votes} voting members: the loss of one ends its service"
        if any(member["arbiterOnly"] for member in members):
            yield f"{one.name} has an arbiter, which holds no data"
        if len({member["priority"] for member in members}) > 1:
            yield f"the members of {one.name} have different priorities"
        hosts = [member["host"].rpartition(":")[0] for member in members]
        yield from (
            f"{one.name} has several members on {host}, which would be lost together"
            for host in dict.fromkeys(hosts)
            if hosts.count(host) > 1
        )


def _routers(asked: _Asked) -> Iterator[str]:
    if len(asked.layout.routers) < 2:
        yield "there is one router, and without it there is no service"
    wanted = {member.address for member in asked.layout.config.members}
    yield from asked.silence(asked.layout.routers)
    for router in asked.answering(asked.layout.routers):
        if is_stand_in(asked.router(router).admin.command("buildInfo")):
            continue  # it has no getCmdLineOpts; bootstrap sees that it serves
        named = asked.options(router)["sharding"]["configDB"].partition("/")[2].split(",")
        if missing := wanted - set(named):
            yield f"{router.name} does not know the config servers {', '.join(sorted(missing))}"


def _names(asked: _Asked) -> Iterator[str]:
    for one in asked.layout.sets:
        members = asked.configuration(one)["members"]
        hosts = [member["host"].rpartition(":")[0].strip("[]") for member in members]
        for host in dict.fromkeys(hosts):
            try:
                ipaddress.ip_address(host)
            except ValueError:
                continue
            yield f"{one.name} knows a member by the address {host}, which may change: name it"


def _caches(asked: _Asked) -> Iterator[str]:
    for one in asked.layout.sets:
        yield from asked.silence(one.members)
        for node in asked.answering(one.members):
            options = asked.options(node)
            engine = options.get("storage", {}).get("wiredTiger", {}).get("engineConfig", {})
            if "cacheSizeGB" not in engine:
                yield f"{node.name} has no limit of its cache, and takes half of its machine"


def _strangers(asked: _Asked) -> Iterator[str]:
    def lets_read(node: Node) -> bool:
        with asked.connections.stranger(node) as client:
            try:
                client[asked.layout.database].users.find_one()
            except OperationFailure as error:
                if error.code == UNAUTHORIZED:
                    return False
                raise
        return True

    yield from asked.silence(asked.layout.nodes)
    for node in _those(asked.answering(asked.layout.nodes), lets_read):
        yield f"{node.name} ({node.address}) lets somebody without a credential read"


def _plain(asked: _Asked) -> Iterator[str]:
    if not asked.access.tls_ca:
        yield "the servers speak without TLS: everybody on their network can listen"
        return

    def answers(node: Node) -> bool:
        with asked.connections.stranger(node, tls=False) as client:
            try:
                client.admin.command("hello")
            except PyMongoError:
                return False
        return True

    for node in _those(asked.answering(asked.layout.nodes), answers):
        yield f"{node.name} ({node.address}) answers without TLS"


def _those(nodes: Sequence[Node], so: Callable[[Node], bool]) -> list[Node]:
    """The nodes of which it is so; all are asked together, since a refusal takes its whole time."""
    with ThreadPoolExecutor(len(nodes) or 1) as pool:
        return [node for node, found in zip(nodes, pool.map(so, nodes), strict=True) if found]


def _users(asked: _Asked) -> Iterator[str]:
    found = asked.any_router.admin.command("usersInfo")["users"]
    for name in sorted(set(USERS) - {kind(user["user"]) for user in found}):
        yield f"there is no user {name}"


def _concerns(asked: _Asked) -> Iterator[str]:
    found = asked.any_router.admin.command("getDefaultRWConcern")
    if (write := found.get("defaultWriteConcern", {}).get("w")) != "majority":
        yield f"writes are acknowledged by {write}, so that a failover may lose them"
    if (read := found.get("defaultReadConcern", {}).get("level")) not in ("majority", "local"):
        yield f"the default read concern is {read}"


def _balancer(asked: _Asked) -> Iterator[str]:
    mode = asked.any_router.admin.command("balancerStatus")["mode"]
    if mode != "full":
        yield f"the balancer is {mode}: data stay where they are, however uneven"


def _versions(asked: _Asked) -> Iterator[str]:
    versions: dict[str, list[str]] = {}
    features: dict[str, list[str]] = {}
    for one in asked.layout.sets:
        yield from asked.silence(one.members)
        for node in asked.answering(one.members):
            admin = asked.server(node).admin
            versions.setdefault(admin.command("buildInfo")["version"], []).append(node.name)
            found = admin.command({"getParameter": 1, "featureCompatibilityVersion": 1})
            feature = found["featureCompatibilityVersion"]["version"]
            features.setdefault(feature, []).append(node.name)
    for what, there in (("version", versions), ("feature compatibility version", features)):
        if len(there) > 1:
            each = "; ".join(f"{one}: {', '.join(names)}" for one, names in there.items())
            yield f"servers differ in their {what} ({each}): finish the upgrade"


def _draining(asked: _Asked) -> Iterator[str]:
    for shard in asked.any_router.admin.command("listShards")["shards"]:
        if shard.get("draining"):
            yield f"{shard['_id']} is being removed, and still there: run `remove-shard` again"


STATEMENTS: tuple[tuple[int, str, Callable[[_Asked], Iterator[str]]], ...] = (
    (1, "each set has an odd number of equal, data-bearing voters on distinct hosts", _members),
    (2, "there are two routers or more, and each knows every config server", _routers),
    (3, "members know one another by DNS names", _names),
    (8, "every cache has a limit", _caches),
    (9, "nobody reads without a credential, on any port", _strangers),
    (11, "no server answers without TLS", _plain),
    (13, "each kind of user has an account of its own", _users),
    (14, "writes are acknowledged by a majority by default", _concerns),
    (15, "the balancer is on", _balancer),
    (16, "all servers have one version", _versions),
    (17, "no shard is half removed", _draining),
)
