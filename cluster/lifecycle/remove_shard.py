"""Takes a shard out of a cluster without losing anything, through a router."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import Any

from pymongo import MongoClient
from pymongo.errors import OperationFailure, PyMongoError

from cluster.errors import ClusterError, DeadlineError
from cluster.servers.connections import is_transient, short
from console import Report

SHARD_NOT_FOUND = 70
STALLED = 120  # seconds without any progress, after which something must be wrong
QUIET = 15  # seconds without any progress, after which one should say why


def drain(uri: str, name: str, report: Report, *, orphan_cleanup_seconds: int = 0) -> None:
    """Moves chunks and databases off the shard `name` and removes it from the cluster.

    A chunk that has come from another shard may have to go back there, which it cannot before that
    one has cleaned up what it still keeps of it: `orphan_cleanup_seconds` after it left. It returns
    once the cluster has forgotten the shard, which it may have done before. It may be interrupted
    and run again. Raises DeadlineError when nothing has moved for two minutes longer than that.
    """
    client: MongoClient[dict[str, Any]]
    with (
        MongoClient(uri, appname="shardstack", serverSelectionTimeoutMS=20_000) as client,
        _balancer_on(client, report),
    ):
        _Drain(client, name, report, orphan_cleanup_seconds).run()


class _Drain:
    def __init__(
        self, client: MongoClient[dict[str, Any]], name: str, report: Report, orphan_seconds: int
    ) -> None:
        self.client = client
        self.orphan_seconds = orphan_seconds
        self.name = name
        self.report = report
        self._seen: object = None
        self._moved_at = time.monotonic()
        self._explained = orphan_seconds < QUIET

    def run(self) -> None:
        while True:
            answer = self._remove()
            if answer is None:
                continue
            if answer["state"] == "completed":
                self.report(f"{self.name}: removed from the cluster")
                return
            self._show(answer)
            for database in answer.get("dbsToMove", []):
                self._move(database)
            time.sleep(0.2)  # chunks move on the servers, which tell only when asked

    def _remove(self) -> dict[str, Any] | None:
        try:
            return self.client.admin.command("removeShard", self.name)
        except OperationFailure as error:
            if error.code == SHARD_NOT_FOUND:
                return {"state": "completed"}
            if not is_transient(error):
                raise ClusterError(
                    f"{self.name} cannot be removed: {short(error)}. See `status`."
                ) from None
            self._stall(short(error))
        except PyMongoError as error:
            self._stall(short(error))
        return None

    def _show(self, answer: dict[str, Any]) -> None:
        left = answer.get("remaining", {})
        chunks, databases = left.get("chunks"), left.get("dbs")
        if chunks is None:
            self.report(f"{self.name}: draining begins")
            return
        if (chunks, databases) != self._seen:
            self._seen = (chunks, databases)
            self._moved_at = time.monotonic()
            self.report(f"{self.name}: {chunks} chunks and {databases} databases left to move")
        else:
            self._stall(f"{chunks} chunks and {databases} databases do not move")

    def _move(self, database: str) -> None:
        target = self._emptiest()
        self.report(f"{self.name}: moving the database {database} to {target}")
        try:
            self.client.admin.command("movePrimary", database, to=target)
        except PyMongoError as error:
            if isinstance(error, OperationFailure) and not is_transient(error):
                raise ClusterError(
                    f"{database} cannot be moved off {self.name}: {short(error)}. "
                    "Solve that, then run the command again."
                ) from None
            self._stall(short(error))
        else:
            self._moved_at = time.monotonic()

    def _emptiest(self) -> str:
        """The shard with the fewest databases among those that stay."""
        shards = self.client.admin.command("listShards")["shards"]
        staying: list[str] = [
            s["_id"] for s in shards if s["_id"] != self.name and not s.get("draining")
        ]
        primaries = [d["primary"] for d in self.client["config"]["databases"].find()]
        return min(staying, key=primaries.count)

    def _stall(self, why: str) -> None:
        still = time.monotonic() - self._moved_at
        if still > STALLED + self.orphan_seconds:
            raise DeadlineError(
                f"{self.name}: nothing has moved for {still:.0f} s: {why}. See `status` and the "
                "log of the config servers' primary, then run the command again."
            )
        if still > QUIET and not self._explained:
            self._explained = True
            self.report(
                f"{self.name}: {why}; a chunk may go back to a shard only "
                f"{self.orphan_seconds / 60:.0f} minutes after it left that one (see "
                "orphanCleanupDelaySecs)"
            )
        time.sleep(0.2)


@contextlib.contextmanager
def _balancer_on(client: MongoClient[dict[str, Any]], report: Report) -> Iterator[None]:
    """Only the balancer drains: it is on meanwhile, and afterwards as it was."""
    try:
        was_off = client.admin.command("balancerStatus")["mode"] == "off"
        if was_off:
            client.admin.command("balancerStart")
            report("balancer: on, while the shard is drained")
    except PyMongoError as error:
        raise ClusterError(f"no router answers: {short(error)}. Run `up` first.") from None
    try:
        yield
    finally:
        if was_off:
            client.admin.command("balancerStop")
            report("balancer: off again")
