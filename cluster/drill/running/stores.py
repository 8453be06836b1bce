"""What a run's load writes to: a collection of its own through the routers, or the API."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Callable, Iterator, Sequence
from enum import StrEnum
from typing import TypeVar

from pymongo import MongoClient
from pymongo.errors import PyMongoError

from cluster.drill.load.mongo import MongoStore, prepare
from cluster.drill.load.workload import Load, Store, Workload
from cluster.drill.targets.target import Api, Target
from cluster.errors import DrillError
from cluster.servers.connections import Client, insist, short
from cluster.servers.waiting import Waiter

T = TypeVar("T")
Maker = Callable[[Client, str, str, Sequence[str]], Store]
"""Makes the store of a collection that is prepared: client, database, name, groups."""

DATABASE = "shardstack_drill"
"""The load's own database; it is dropped afterwards."""
HANGS_MS = 120_000
"""The driver's defaults retry each call once, and wait for ever. No run does."""
PATIENCE = 60.0
"""Seconds in which the load's collection can be made."""
MEASURED_SECONDS = 4.0
MEASURING = Load(clients=8, keys=12)
"""In a closed loop, so as fast as the target answers them."""


class Through(StrEnum):
    """By what way the load reaches the cluster."""

    ROUTERS = "routers"
    API = "api"


@contextlib.contextmanager
def opened(
    target: Target, through: Through, api: Api | None, make: Maker = MongoStore
) -> Iterator[Store]:
    """A store with a group for each shard; through routers it is `make`'s.

    Raises DrillError: it could not be made.
    """
    access = target.access()
    shards = [shard.name for shard in access.layout.shards]
    client: Client
    with MongoClient(access.uri("admin"), socketTimeoutMS=HANGS_MS) as client:
        if through is Through.ROUTERS:
            name = f"keys_{secrets.token_hex(4)}"
            # Again and again: a balancer that has just been started refuses to move a chunk.
            _insist(lambda: prepare(client, DATABASE, name, shards))
            yield make(client, DATABASE, name, shards)
            return
        if api is None:
            raise DrillError("--through api needs --url, the API's address.")
        # Hosts have not what speaks HTTP, and need it for nothing else.
        from cluster.drill.load.http import ApiStore  # noqa: PLC0415
        from cluster.drill.running.accounts import accounts  # noqa: PLC0415

        made = _insist(lambda: accounts(client, access.layout.database, api, shards))
    with contextlib.closing(ApiStore(api.url, made, api.ca)) as store:
        yield store


def _insist(act: Callable[[], T]) -> T:
    return insist(
        Waiter(PATIENCE),
        act,
        lambda error: DrillError(f"the load has nothing to write to: {short(error)}."),
        lambda last: f"the load has nothing to write to after {PATIENCE:.0f} s: {last}.",
    )


def drop(target: Target) -> None:
    """Drop what loads have written through routers. Raises DrillError."""
    client: Client
    with MongoClient(target.access().uri("admin"), socketTimeoutMS=HANGS_MS) as client:
        try:
            client.drop_database(DATABASE)
        except PyMongoError as error:
            raise DrillError(f"{DATABASE} was not dropped: {short(error)}.") from None


def maximum(target: Target, through: Through, api: Api | None, make: Maker = MongoStore) -> float:
    """Calls in a second that the target answers to a few clients who never pause."""
    with opened(target, through, api, make) as store, Workload(store, MEASURING) as workload:
        workload.run(1.0)
        before = workload.progress().calls
        workload.run(MEASURED_SECONDS)
        return (workload.progress().calls - before) / MEASURED_SECONDS
