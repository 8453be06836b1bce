"""Whether a cluster may be broken, is whole again after a fault, and holds the same everywhere."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from pymongo.errors import PyMongoError

from cluster.lifecycle.status import ClusterStatus
from cluster.model.layout import ReplicaSet
from cluster.servers.connections import Access, Connections, short
from cluster.servers.replica_set import look, standing
from cluster.servers.routers import why_not_serving

LEAST_FREE_MIB = 1024
"""A drill writes little, but a member that starts from scratch copies all there is."""
LARGEST_LAG = 10.0
SMALL_LAG_SECONDS = 2.0
NOT_COMPARED = frozenset({"admin", "config", "local"})
"""Databases in which servers write all the time, or each its own."""


def unfit(status: ClusterStatus, free_mib: int) -> list[str]:
    """Why nobody should break a cluster that is like this now, a sentence each."""
    members = [member for one in status.sets for member in one.members]
    found = [
        *status.problems,
        *(
            f"{member.name} is {member.lag_seconds} s behind its primary"
            for member in members
            if member.lag_seconds is None or member.lag_seconds > LARGEST_LAG
        ),
    ]
    if status.balancer_holder:
        found.append(f"{status.balancer_holder.purpose} is under way")
    found += [f"{shard.name} is being drained" for shard in status.shards if shard.draining]
    if free_mib < LEAST_FREE_MIB:
        found.append(f"{free_mib} MiB of disk are free, and {LEAST_FREE_MIB} are needed")
    return found


def unserved(access: Access, connections: Connections, name: str) -> str:
    """Why a node does not serve; "" once a member leads or follows, or a router serves."""
    node = next(one for one in access.layout.nodes if one.name == name)
    if access.layout.set_of(node):
        member = look(connections, node)
        return "" if member.is_settled else member.state
    return why_not_serving(connections, node, "admin", access.passwords["admin"])


def missing(access: Access, connections: Connections) -> str:
    """What is not whole yet, in a phrase; "" once every member follows and every router serves."""
    password = access.passwords["admin"]

    def of_set(one: ReplicaSet) -> str:
        now = standing(connections, one)
        return now.problem(SMALL_LAG_SECONDS) if now else f"{one.name} has no primary"

    layout = access.layout
    with ThreadPoolExecutor(len(layout.sets) + len(layout.routers)) as pool:
        sets = [pool.submit(of_set, one) for one in layout.sets]
        routers = [
            pool.submit(why_not_serving, connections, router, "admin", password)
            for router in layout.routers
        ]
        found = [future.result() for future in sets]
        for router, future in zip(layout.routers, routers, strict=True):
            if why := future.result():
                found.append(f"{router.name} does not serve ({why})")
    return "; ".join(why for why in found if why)


def differences(access: Access, connections: Connections) -> list[str]:
    """Shards of which not all members hold the same, in words; they must be quiet meanwhile.

    Compared by `dbHash`, which a member makes of every document it has.
    Source: https://www.mongodb.com/docs/manual/reference/command/dbHash/
    """
    with ThreadPoolExecutor(len(access.layout.shards)) as pool:
        found = pool.map(lambda shard: _difference(connections, shard), access.layout.shards)
        return [one for one in found if one]


def _difference(connections: Connections, shard: ReplicaSet) -> str:
    try:
        hashes = {node.name: _hashes(connections, shard, node.name) for node in shard.members}
    except PyMongoError as error:
        return f"{shard.name}: its members could not be compared ({short(error)})"
    first, *others = hashes.items()
    for name, held in others:
        differing = sorted(
            namespace
            for namespace in {*first[1], *held}
            if first[1].get(namespace) != held.get(namespace)
        )
        if differing:
            return f"{first[0]} and {name} hold different documents in {', '.join(differing)}"
    return ""


def _hashes(connections: Connections, shard: ReplicaSet, name: str) -> dict[str, str]:
    """By namespace, what a member's documents come to."""
    client = connections.member(next(node for node in shard.members if node.name == name))
    found = {}
    for database in client.list_database_names():
        if database not in NOT_COMPARED:
            hashed = client[database].command("dbHash")["collections"]
            found.update({f"{database}.{each}": value for each, value in hashed.items()})
    return found
